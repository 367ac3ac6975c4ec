"""Issue 6, response_format: what of an agent's words is the JSON that was asked for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from facade.errors import ApiError
from facade.openai.json_answer import JsonFormat, read_answer, read_format

ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
WANTED = JsonFormat(ANSWER)
YES = '{"answer": "yes"}'


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


@pytest.mark.parametrize(
    "said",
    [
        YES,
        f"  {YES}\n",
        f"```json\n{YES}\n```",
        f"Here:\n```json\n{YES}\n```\nBye.",
        f'First {{"draft": 1}}, then {YES}.',
        f"It is {{as asked}} {YES} [sic",
        f'```json\n{{"draft": 1}}\n```\nor rather\n```json\n{YES}\n```',
    ],
)
def test_the_last_value_counts(said: str) -> None:
    reading = read_answer(said, WANTED)
    assert (json.loads(reading.text), reading.problem) == ({"answer": "yes"}, None)


def test_python_and_wrong_types_are_put_right() -> None:
    assert json.loads(read_answer("{'answer': 'yes', 'count': '3'}", WANTED).text) == {
        "answer": "yes",
        "count": 3,
    }


@pytest.mark.parametrize("said", ["", "yes", '{"something": "else"}', '{"answer": ', "[" * 5000, "{" * 5000])
def test_what_does_not_fit_stays_as_it_is(said: str) -> None:
    reading = read_answer(said, WANTED)
    assert reading.text == said
    assert reading.problem is not None


def test_json_object() -> None:
    assert read_answer('{"a": 1}', JsonFormat()).problem is None
    assert read_answer("[1]", JsonFormat()).problem == "it is not a JSON object"
    assert read_answer('{"a": NaN}', JsonFormat()).problem is not None


@given(st.text(max_size=80))
def test_any_words_have_a_reading(said: str) -> None:
    reading = read_answer(said, JsonFormat())
    assert reading.problem is not None or isinstance(json.loads(reading.text), dict)


def test_formats_of_either_api() -> None:
    assert read_format(raw(None), "response_format") is None
    assert read_format(raw({"type": "text"}), "response_format") is None
    assert read_format(raw({"type": "json_object"}), "response_format") == JsonFormat()
    flat = {"type": "json_schema", "name": "A", "strict": True, "schema": ANSWER}
    assert read_format(raw(flat), "text.format") == WANTED
    nested = {"type": "json_schema", "json_schema": {"name": "A", "schema": ANSWER}}
    assert read_format(raw(nested), "response_format") == WANTED
    assert '"required":["answer"]' in WANTED.guidance()


@pytest.mark.parametrize(
    ("given_format", "param"),
    [
        ({"type": "json_schema"}, "f.schema"),
        ({"type": "json_schema", "json_schema": {}}, "f.json_schema.schema"),
        ({"type": "json_schema", "schema": {"type": 7}}, "f.schema"),
        ({"type": "yaml"}, "f.type"),
        ({}, "f.type"),
        ("text", "f"),
    ],
)
def test_a_format_that_is_none_is_a_400(given_format: Any, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        read_format(raw(given_format), "f")
    assert (raised.value.status, raised.value.param) == (400, param)
