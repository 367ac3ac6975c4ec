"""Items of input, as lists of items show them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from facade.errors import ApiError
from facade.openai.continuation import input_of
from facade.openai.shown_items import added_items, own_input, response_of, shown_input

A = "a" * 32
QUESTION = {"type": "message", "role": "user", "content": "one"}
SHOWN = {**QUESTION, "status": "completed", "content": [{"type": "input_text", "text": "one"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}


def items(*told: dict[str, Any]) -> list[Raw]:
    return [Raw(json.dumps(one).encode()) for one in told]


def test_the_input_of_a_response() -> None:
    call = {**CALL, "status": "completed"}
    assert shown_input(items(QUESTION, CALL), A) == [{**SHOWN, "id": f"msg_{A}_in0"}, call]
    (text,) = shown_input(input_of(b'{"input": "one"}'), A)
    assert text == {**SHOWN, "id": f"msg_{A}_in0"}
    assert input_of(b"{}") == []


def test_an_id_tells_the_response() -> None:
    for number, item in enumerate(own_input(items(QUESTION, CALL, {"type": "reasoning", "summary": []}), A)):
        assert str(item["id"]).endswith(f"_{A}_in{number}")
        assert response_of(str(item["id"])) == f"resp_{A}"
    assert response_of(f"mcp_{A}_12") == f"resp_{A}"
    assert response_of(f"msg_{A}") == response_of("msg_1") == response_of("") == ""


def test_what_is_added_gets_ids_of_its_own() -> None:
    answer = {"role": "assistant", "content": [{"type": "output_text", "text": "two"}], "id": "msg_1"}
    message, call = added_items(items(answer, CALL), ["m", "c"])
    assert message["content"] == [{"type": "output_text", "text": "two", "annotations": []}]
    assert (message["id"], message["type"], call["id"]) == ("msg_m", "message", "fc_c")
    with pytest.raises(ApiError) as raised:
        added_items(items(QUESTION, {"role": "user", "content": [{"type": "hologram"}]}), ["a", "b"])
    assert raised.value.param == "items[1].content[0]"
