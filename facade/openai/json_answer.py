"""Answers that are to be JSON: how the agent is asked for it, and what of its words is it.

The last JSON value of the answer counts, out of its code fence; it is checked
by the schema. What is told then is that value alone.
"""

import json
import re
from dataclasses import dataclass
from typing import Final, Never

import msgspec
from msgspec import Raw, Struct

from facade.errors import invalid, unsupported
from facade.openai.client_tools.coercion import coerced
from facade.openai.json_schema import check_schema, problem_of
from facade.openai.loose_json import LooseError, loose_values
from facade.openai.wire import parse

_FENCED: Final = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_BEGINNING: Final = re.compile(r"[{\[]")
_MOST_SEARCHED: Final = 256 * 1024  # characters at the end of an answer
_MOST_TRIES: Final = 256  # beginnings of values that are none


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """What the answer must be: a JSON object, or a value by `schema` where there is one."""

    schema: dict[str, object] | None = None

    def guidance(self) -> str:
        """Return what the agent is told."""
        asked = "Answer with one JSON {} and nothing else: no words around it, no code fence."
        if self.schema is None:
            return asked.format("object")
        return f"{asked.format('value')} It must be valid by this JSON Schema:\n{_text(self.schema)}"

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value, in a line for the agent; None where nothing is."""
        if self.schema is None:
            return None if isinstance(value, dict) else "it is not a JSON object"
        return problem_of(value, self.schema)


class _Format(Struct):
    """A `response_format`, or a `text.format`, which has the schema beside its type."""

    type: str
    json_schema: Raw = Raw(b"null")
    schema: dict[str, object] | None = None


class _Schema(Struct):
    schema: dict[str, object] | None = None


def read_format(given: Raw, param: str) -> JsonFormat | None:
    """Return what the answer must be; None for text. Raises the 400 for a format that is none."""
    if bytes(given) == b"null":
        return None
    form = parse(given, _Format, param)
    match form.type:
        case "text":
            return None
        case "json_object":
            return JsonFormat()
        case "json_schema":
            schema, at = form.schema, f"{param}.schema"
            if bytes(form.json_schema) != b"null":
                at = f"{param}.json_schema.schema"
                schema = parse(form.json_schema, _Schema, f"{param}.json_schema").schema
            if schema is None:
                raise invalid("A json_schema format needs a schema.", at)
            check_schema(schema, at)
            return JsonFormat(schema)
        case _:
            raise unsupported("It is none of text, json_object and json_schema.", f"{param}.type")


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer comes to: its JSON text where `problem` is None."""

    text: str
    problem: str | None


def read_answer(said: str, wanted: JsonFormat) -> Reading:
    """Return the JSON value of what the agent said; the words as they are where there is none that fits."""
    found = _last_value(said)
    if found is None:
        return Reading(said, "it holds no JSON value")
    text, value = found
    problem = wanted.problem(value)
    if problem is not None and wanted.schema is not None:
        fitting = coerced(value, wanted.schema)
        if wanted.problem(fitting) is None:
            return Reading(_text(fitting), None)
    return Reading(said if problem is not None else text, problem)


def mending(problem: str) -> str:
    """Return what to say to an agent whose answer is not the JSON that was asked for."""
    return f"Your answer cannot be used: {problem}. Give it once more, whole, as the JSON that was asked for."


def _last_value(said: str) -> tuple[str, object] | None:
    """Return the last JSON value and its text."""
    whole = said.strip()
    fenced = _FENCED.findall(whole[-_MOST_SEARCHED:])
    for text in (whole, *([fenced[-1].strip()] if fenced else [])):
        try:
            return text, _decode(text)
        except (ValueError, RecursionError):
            continue
    if found := _searched(whole[-_MOST_SEARCHED:]):
        return found
    for text in (whole, *fenced[-1:]):
        try:
            values = loose_values(text.strip()) if _BEGINNING.match(text.strip()) else []
        except LooseError:
            continue
        if len(values) == 1:
            return _text(values[0]), values[0]
    return None


def _searched(text: str) -> tuple[str, object] | None:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    found: tuple[str, object] | None = None
    at = tries = 0
    while tries < _MOST_TRIES and (beginning := _BEGINNING.search(text, at)):
        start = beginning.start()
        try:
            value, at = decoder.raw_decode(text, start)
            found = text[start:at], value
        except (ValueError, RecursionError):
            at, tries = start + 1, tries + 1
    return found


def _decode(text: str) -> object:
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
