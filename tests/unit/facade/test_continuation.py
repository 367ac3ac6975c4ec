"""Requests that refer to stored responses, written out in full (openai-surface.md §6.7, §7.1)."""

import json
from typing import Any

import pytest
from msgspec import Raw

from facade.errors import ApiError
from facade.openai.continuation import (
    References,
    Said,
    references_of,
    written_out,
)

A, B = "a" * 32, "b" * 32
QUESTION = {"type": "message", "role": "user", "content": "one"}
ANSWER = {"type": "message", "role": "assistant", "id": f"msg_{A}_1", "content": []}
TOOL = {"type": "mcp_call", "id": f"mcp_{A}_0", "name": "bash"}
SAID = {f"resp_{A}": Said([Raw(json.dumps(QUESTION).encode())], [TOOL, ANSWER])}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m"} | fields).encode()


def whole(request: bytes) -> tuple[list[dict[str, Any]], int]:
    told, before = written_out(request, SAID)
    fields = json.loads(told)
    assert fields["model"] == "m"
    return fields["input"], before


def test_a_previous_response_comes_before_the_input() -> None:
    request = body(previous_response_id=f"resp_{A}", input="two")
    assert references_of(request) == References(f"resp_{A}", frozenset())
    assert whole(request) == ([QUESTION, TOOL, ANSWER, {**QUESTION, "content": "two"}], 3)


def test_references_are_replaced_by_what_they_name() -> None:
    items = [QUESTION, {"type": "item_reference", "id": TOOL["id"]}, {"id": ANSWER["id"]}, QUESTION]
    request = body(input=items)
    assert references_of(request) == References("", frozenset({f"resp_{A}"}))
    assert whole(request) == ([QUESTION, TOOL, ANSWER, QUESTION], 0)


def test_what_stands_for_itself_stays() -> None:
    items = [QUESTION, ANSWER, {"role": "user", "content": "x", "id": f"msg_{B}_0"}]
    request = body(input=items)
    assert references_of(request) == References("", frozenset())
    assert whole(request) == (items, 0)


@pytest.mark.parametrize("reference", ["msg_1", f"msg_{A}_9", f"msg_{B}_1", f"MSG_{A}_1"])
def test_a_reference_that_leads_nowhere_is_refused(reference: str) -> None:
    request = body(input=[QUESTION, {"type": "item_reference", "id": reference}])
    with pytest.raises(ApiError) as raised:
        written_out(request, SAID)
    assert (raised.value.status, raised.value.param) == (400, "input[1].id")
