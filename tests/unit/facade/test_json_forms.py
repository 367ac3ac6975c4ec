"""JSON as models write it, schemas as clients send them, values as they are meant."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facade.errors import ApiError
from facade.openai.client_tools.coercion import coerced
from facade.openai.json_schema import MOST_BYTES, check_schema, problem_of
from facade.openai.loose_json import LooseError, loose_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_json_is_read_as_json(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert loose_values(text) == [value]


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_none(text: str) -> None:
    try:
        for value in loose_values(text):
            json.dumps(value).encode()
    except LooseError:
        pass


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'b'}", {"a": "b"}),
        ("{a: True, b: None, c: False,}", {"a": True, "b": None, "c": False}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
        ('{"a": "say "hi" now"}', {"a": 'say "hi" now'}),
        ("{'a': 'it's'}", {"a": "it's"}),
        (r'{"a": "\d+ \' \u00e9 \ud800"}', {"a": "\\d+ ' é \ufffd"}),
        ("[1, -2.5, 1e3,]", [1, -2.5, 1000.0]),
        ('{"a": {"b": [1', {"a": {"b": [1]}}),
        ('{"a": 1}}]', {"a": 1}),
    ],
)
def test_what_models_write(text: str, value: Any) -> None:
    assert loose_values(text) == [value]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[", "}", '{"a"', '{"a":', '{"a": "b', "nope", '"open', "[" * 100 + "]" * 100, "1" * 999],
)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(LooseError):
        loose_values(text)


@pytest.mark.parametrize(
    ("value", "schema", "meant"),
    [
        ("3", {"type": "integer"}, 3),
        ("3.5", {"type": "number"}, 3.5),
        ("true", {"type": "boolean"}, True),
        ("True", {"type": "boolean"}, True),
        (3, {"type": "string"}, "3"),
        (False, {"type": "string"}, "false"),
        ({"a": 1}, {"type": "string"}, '{"a":1}'),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("x", {"type": "array", "items": {"type": "string"}}, ["x"]),
        (["1"], {"type": "array", "items": {"type": "integer"}}, [1]),
        ('{"a": "1"}', {"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": 1}),
        ({"a": None, "b": 1}, {"properties": {"a": {"type": "string"}, "b": {}}}, {"b": 1}),
        ({"a": None}, {"properties": {"a": {"type": ["string", "null"]}}}, {"a": None}),
        ({"a": None}, {"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"a": None}),
        ("7", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 7),
        ("null", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ("7", {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, 7),
        ("007", {"type": "string"}, "007"),
        ("many", {"type": "integer"}, "many"),
        (1, {"$ref": "#"}, 1),
        (1, {"type": 7}, 1),
        (1, True, 1),
    ],
)
def test_values_as_they_are_meant(value: Any, schema: Any, meant: Any) -> None:
    turned = coerced(value, schema)
    assert turned == meant
    assert type(turned) is type(meant)


@given(JSON, JSON)
def test_no_schema_breaks_coercion_or_the_check(value: Any, schema: Any) -> None:
    coerced(value, {"properties": schema, "type": "object", "items": schema})
    problem_of(value, {"properties": schema, "allOf": schema, "items": schema})


def test_problems_are_told_with_their_place() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
    assert problem_of({"a": [1, "x"]}, schema) == "a[1]: 'x' is not of type 'integer'"
    assert problem_of([], schema) == "[] is not of type 'object'"
    assert problem_of({"a": [1]}, schema) is None
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}]}
    assert problem_of(["x"], draft_7) is not None


BOMB: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"$ref": "http://127.0.0.1:9/schema.json"}),
        (1, {"$ref": "#"}),
        (1, {"$ref": "#/nowhere"}),
        (1, {"type": 7}),
        (1, {"$defs": BOMB | {"d40": {"type": "integer"}}, "$ref": "#/$defs/d0"}),
        ("a" * 64 + "!", {"pattern": "^(a+)+$"}),
        ({"a" * 64 + "!": 1}, {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}),
        ([{}] * 5_000, {"uniqueItems": True}),
        (1, {"type": "string", "description": "x" * MOST_BYTES}),
    ],
)
def test_a_schema_that_cannot_be_evaluated_checks_nothing(value: Any, schema: Any) -> None:
    """Nothing is fetched, and no schema of a client's takes long: this test would."""
    assert problem_of(value, schema) is None


def test_a_schema_that_is_none_is_refused() -> None:
    for schema in ({"type": 7}, {"properties": []}, {"description": "x" * MOST_BYTES}):
        with pytest.raises(ApiError) as raised:
            check_schema(schema, "text.format.schema")
        assert (raised.value.status, raised.value.code) == (400, "invalid_json_schema")
