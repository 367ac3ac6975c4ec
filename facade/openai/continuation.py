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

from facade.errors import invalid
from facade.openai.wire import parse

_NOTHING: Final = Raw(b"null")
_ITEM_ID: Final = re.compile(r"[a-z]+_(?P<unique>[0-9a-f]{32})_\d+")


class _Referring(Struct):
    """The fields that refer, and the input."""

    input: Raw = _NOTHING
    previous_response_id: str | None = None
    conversation: Raw = _NOTHING


class _Item(Struct):
    """What tells a reference from an item."""

    type: str | None = None
    id: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class References:
    """The stored responses that a request refers to.

    `previous` is the one that it continues, empty where it names none; `items` are the others, whose items it
    names. `conversation` is the one that it names, empty for none.
    """

    previous: str
    items: frozenset[str]
    conversation: str = ""


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
    found = responses_of(_items(referring.input), "input")
    conversation = conversation_of(referring.conversation) or ""
    return References(referring.previous_response_id or "", found, conversation)


def responses_of(items: Sequence[Raw], field: str) -> frozenset[str]:
    """Return the stored responses whose items are referred to among those of a field. Raises the 400."""
    found = (_response_of(item, f"{field}[{at}]") for at, item in enumerate(items))
    return frozenset(response for response in found if response)


def resolved(items: Sequence[Raw], said: Mapping[str, Said], field: str) -> list[Raw]:
    """Return the items of a field, each reference replaced by what it names. Raises the 400."""
    return [_resolved(item, said, f"{field}[{at}]") for at, item in enumerate(items)]


def conversation_of(named: Raw) -> str | None:
    """Return the conversation that a request names, by its id or by an object with its id. Raises the 400."""
    if bytes(named).startswith(b"{"):
        named = parse(named, dict[str, Raw], "conversation").get("id", _NOTHING)
    return None if bytes(named) == b"null" else parse(named, str, "conversation")


def without_conversation(body: bytes) -> bytes:
    """Return a request that names none."""
    whole = parse(body, dict[str, Raw])
    if whole.pop("conversation", None) is None:
        return body
    return msgspec.json.encode(whole)


def written_out(body: bytes, said: Mapping[str, Said], unheard: Sequence[Raw] = ()) -> tuple[bytes, int]:
    """Return the request with what it refers to in its input, and how many items of that come from before.

    `said` holds the responses of `references_of`, `unheard` what was added to the conversation since its last
    turn. Raises the 400 where a reference leads nowhere.
    """
    referring = parse(body, _Referring)
    before = [*unheard]
    if referring.previous_response_id:
        previous = said[referring.previous_response_id]
        before = [*previous.input, *map(_raw, previous.output)]
    own = resolved(_items(referring.input), said, "input")
    whole = parse(body, dict[str, Raw])
    whole["input"] = Raw(msgspec.json.encode([*before, *own]))
    return msgspec.json.encode(whole), len(before)


def input_of(body: bytes) -> list[Raw]:
    """Return the input of a request as items; a text is a user's message."""
    return _items(parse(body, _Referring).input)


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


def _resolved(item: Raw, said: Mapping[str, Said], param: str) -> Raw:
    """Return the item that stands for itself; of a reference what it names."""
    reference = _reference(item, param)
    if not reference:
        return item
    response = said.get(_response_of(item, param))
    found = [] if response is None else [one for one in response.output if one.get("id") == reference]
    if not found:
        raise invalid("There is no stored item of this id.", f"{param}.id", "item_not_found")
    return _raw(found[0])


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
