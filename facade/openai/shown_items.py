"""Items of input, as lists of items show them, and the ids that they get. Pure."""

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw

from facade.openai.kept import response_id
from facade.openai.responses_request import check_item
from facade.openai.wire import parse

_PREFIXES: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_OF_RESPONSE: Final = re.compile(r"[a-z]+_(?P<unique>[0-9a-f]{32})_(?:in)?\d+")
_WITH_STATUS: Final = frozenset({"message", "function_call", "function_call_output"})


def shown_input(items: Sequence[Raw], unique: str) -> list[dict[str, object]]:
    """Return the input of a response as `…/input_items` lists it; items without an id get one."""
    told = [parse(item, dict[str, Any]) for item in items]
    return [
        _shown(fields, fields.get("id") or _id_of(fields, f"{unique}_in{number}"))
        for number, fields in enumerate(told)
    ]


def own_input(items: Sequence[Raw], unique: str) -> list[dict[str, object]]:
    """Return the input of a response as items of its conversation, by ids that tell the response."""
    told = [parse(item, dict[str, Any]) for item in items]
    return [_shown(fields, _id_of(fields, f"{unique}_in{number}")) for number, fields in enumerate(told)]


def added_items(items: Sequence[Raw], uniques: Sequence[str]) -> list[dict[str, object]]:
    """Return items to add to a conversation, with ids of its own. Raises the 400 for what is no item."""
    for number, item in enumerate(items):
        check_item(item, f"items[{number}]")
    told = [parse(item, dict[str, Any]) for item in items]
    return [_shown(fields, _id_of(fields, unique)) for fields, unique in zip(told, uniques, strict=True)]


def response_of(item_id: str) -> str:
    """Return the response that an item is of by its id; empty where it tells none."""
    found = _OF_RESPONSE.fullmatch(item_id)
    return response_id(found["unique"]) if found else ""


def _id_of(fields: dict[str, Any], unique: str) -> str:
    return f"{_PREFIXES.get(str(fields.get('type', 'message')), 'item')}_{unique}"


def _shown(fields: dict[str, Any], item_id: str) -> dict[str, object]:
    fields["id"] = item_id
    kind = fields.setdefault("type", "message")
    if kind in _WITH_STATUS:
        fields.setdefault("status", "completed")
    if kind == "message":
        fields["content"] = _parts(fields.get("content"), fields.get("role"))
    return fields


def _parts(content: Any, role: object) -> list[dict[str, Any]]:
    kind = "output_text" if role == "assistant" else "input_text"
    parts: list[dict[str, Any]] = content or []
    if isinstance(content, str):
        parts = [{"type": kind, "text": content}]
    for part in parts:
        if part["type"] == "output_text":
            part.setdefault("annotations", [])
    return parts
