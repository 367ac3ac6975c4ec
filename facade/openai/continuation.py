"""Writes a request for a response out in full: what it refers to stands in its input then. Pure.

`previous_response_id` and `item_reference` name what was said before by ids of
stored responses (openai-surface.md §6.7). The agent's conversation is found by
what was said (StartTurn.recognise_history), so a request that only refers to it
is made one that says it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw, Struct

from facade.errors import ApiError, invalid
from facade.openai.wire import parse

_NOTHING: Final = Raw(b"null")
_ITEM_ID: Final = re.compile(r"[a-z]+_(?P<unique>[0-9a-f]{32})_\d+")


class _Referring(Struct):
    """The fields that refer, and the input."""

    input: Raw = _NOTHING
    previous_response_id: str | None = None


class _Item(Struct):
    """What tells a reference from an item."""

    type: str | None = None
    id: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class References:
    """The stored responses that a request refers to.

    `previous` is the one that it continues, empty where it names none; `items` are the others, whose items it
    names.
    """

    previous: str
    items: frozenset[str]


@dataclass(frozen=True, slots=True)
class Said:
    """A stored response: the whole input that led to it, and what it put out, as JSON values.

    `turns` are the ids of the turns that may have told it, one or the other.
    """

    input: Sequence[Raw]
    output: Sequence[Mapping[str, object]]
    turns: tuple[str, ...] = ()


def references_of(body: bytes) -> References:
    """Return what a request refers to; raises the 400 for a field of the wrong kind."""
    referring = parse(body, _Referring)
    items = enumerate(_items(referring.input))
    found = {response for at, item in items if (response := _response_of(item, f"input[{at}]"))}
    return References(referring.previous_response_id or "", frozenset(found))


def written_out(body: bytes, said: Mapping[str, Said]) -> tuple[bytes, int]:
    """Return the request with what it refers to in its input, and how many items of that come from before.

    `said` holds the responses of `references_of`. Raises the 400 where a reference leads nowhere.
    """
    referring = parse(body, _Referring)
    before: list[Raw] = []
    if referring.previous_response_id:
        previous = said[referring.previous_response_id]
        before = [*previous.input, *map(_raw, previous.output)]
    own = [_resolved(item, said, f"input[{at}]") for at, item in enumerate(_items(referring.input))]
    whole = parse(body, dict[str, Raw])
    whole["input"] = Raw(msgspec.json.encode([*before, *(item for item in own if item is not None)]))
    return msgspec.json.encode(whole), len(before)


def input_of(body: bytes) -> list[Raw]:
    """Return the input of a request as items; a text is a user's message."""
    return _items(parse(body, _Referring).input)


def shown_input(items: Sequence[Raw], unique: str) -> list[dict[str, object]]:
    """Return input items as `…/input_items` lists them, the newest first; those without an id get one."""
    shown = []
    for number, item in enumerate(items):
        fields = parse(item, dict[str, object])
        kind = fields.setdefault("type", "message")
        fields.setdefault("id", f"{_PREFIXES.get(str(kind), 'item')}_{unique}_in{number}")
        if isinstance(text := fields.get("content"), str):
            part = "output_text" if fields.get("role") == "assistant" else "input_text"
            fields["content"] = [{"type": part, "text": text}]
        shown.append(fields)
    return shown[::-1]


_PREFIXES: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def _items(given: Raw) -> list[Raw]:
    raw = bytes(given)
    if raw == b"null":
        return []
    if raw.startswith(b'"'):
        return [_raw({"type": "message", "role": "user", "content": parse(given, str, "input")})]
    return parse(given, list[Raw], "input")


def _response_of(item: Raw, param: str) -> str:
    """Return the response whose item is meant; nothing where the item stands here itself."""
    reference = _reference(item, param)
    match = _ITEM_ID.fullmatch(reference) if reference else None
    return f"resp_{match['unique']}" if match else ""


def _reference(item: Raw, param: str) -> str:
    """Return the id that a reference names; what has neither a type nor a role but an id is one, too."""
    head = parse(item, _Item, param)
    is_reference = head.type == "item_reference" or (head.type is None and head.role is None)
    return (head.id or "") if is_reference else ""


def _resolved(item: Raw, said: Mapping[str, Said], param: str) -> Raw | None:
    """Return the item that stands for itself; of a reference what it names, None where that says nothing."""
    reference = _reference(item, param)
    if not reference:
        return item
    response = said.get(_response_of(item, param))
    found = [] if response is None else [one for one in response.output if one.get("id") == reference]
    if not found:
        raise no_item(f"{param}.id")
    return _raw(found[0])


def no_item(param: str) -> ApiError:
    """Return the 400 for a reference that leads nowhere."""
    return invalid("There is no stored item of this id.", param, "item_not_found")


def without_answer(body: bytes) -> bytes:
    """Return a request without what stands behind its question: what a client that sends it again heard."""
    items = _items(parse(body, _Referring).input)
    end = len(items)
    while end and _is_answer(items[end - 1], f"input[{end - 1}]"):
        end -= 1
    if end in (0, len(items)):
        return body
    whole = parse(body, dict[str, Raw])
    whole["input"] = Raw(msgspec.json.encode(items[:end]))
    return msgspec.json.encode(whole)


def _is_answer(item: Raw, param: str) -> bool:
    """Tell whether an item is of an answer: not what people or tools said."""
    head = parse(item, _Item, param)
    return head.role == "assistant" if head.role is not None else not (head.type or "").endswith("_output")


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
