"""The normal form of an answer: what must be the same each time, a line per frame. Pure.

Ids are numbered in the order in which they come, so that who equals whom stays;
times are 0. Deltas of one text that follow each other are one, for how an answer
is cut depends on the moment; so do keep-alives. A long text is its length and digest. The response is
told whole at the end; before, by what identifies it.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

_ID: Final = re.compile(
    r"\b(?:(?P<kind>resp|msg|rs|mcp|fc|ctc|call|turn|req|conv)_|(?P<chat>chatcmpl|cmpl)-)[0-9A-Za-z_-]{8,}"
    r"|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
_TIMES: Final = frozenset({"created", "created_at", "completed_at"})
_TEXTS: Final = ("content", "reasoning_content")
_BEFORE: Final = frozenset({"response.created", "response.in_progress", "response.queued"})
_IDENTITY: Final = ("id", "object", "model", "status", "output")
_MOST: Final = 300  # characters
Frame = tuple[str, dict[str, Any]]


def normal_frames(frames: Iterable[tuple[str, str]], mask: "Mask", *, keeps_alive: bool) -> list[str]:
    """Return the lines for a stream's frames, each an event's name and its data."""
    told: list[Frame] = []
    end: list[str] = []
    for name, data in frames:
        if data == "[DONE]":
            end = [data]
            continue
        fields = json.loads(data)
        fields.pop("sequence_number", None)
        if name in _BEFORE:
            fields["response"] = {key: fields["response"][key] for key in _IDENTITY}
        _add(told, (name, fields), keeps_alive)
    return [f"{name} {mask.line(fields)}".lstrip() for name, fields in told] + end


def normal_body(raw: bytes, mask: "Mask") -> list[str]:
    """Return the line for a whole answer, or for an error."""
    return [mask.line(json.loads(raw))]


def _add(told: list[Frame], frame: Frame, keeps_alive: bool) -> None:
    if _is_keep_alive(told, frame):
        if keeps_alive and not (told and told[-1] == frame):
            told.append(frame)
        return
    if told and (joined := _joined(told[-1], frame)):
        told[-1] = joined
    else:
        told.append(frame)


def _is_keep_alive(told: list[Frame], frame: Frame) -> bool:
    name, fields = frame
    if name:
        return name == "response.in_progress" and any(name == earlier for earlier, _ in told)
    choices = fields.get("choices")
    return bool(choices) and choices[0]["delta"] == {} and choices[0]["finish_reason"] is None


def _joined(last: Frame, frame: Frame) -> Frame | None:
    """Return one frame for two that tell the same text, else None."""
    (name, before), (next_name, fields) = last, frame
    if name != next_name:
        return None
    if name.endswith("_text.delta"):
        same = {**before, "delta": ""} == {**fields, "delta": ""}
        return (name, {**before, "delta": before["delta"] + fields["delta"]}) if same else None
    delta, more = _delta(before), _delta(fields)
    key = next((text for text in _TEXTS if delta.keys() == {text} == more.keys()), None)
    if name or key is None:
        return None
    choice = {**before["choices"][0], "delta": {key: delta[key] + more[key]}}
    return name, {**before, "choices": [choice]}


def _delta(fields: dict[str, Any]) -> dict[str, Any]:
    choices = fields.get("choices") or [{}]
    delta: dict[str, Any] = choices[0].get("delta") or {}
    return delta


class Mask:
    """What hides the ids, times and long texts of one answer, or of several that are about the same."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def line(self, fields: object) -> str:
        """Return the normal form of some JSON."""
        return json.dumps(self._of(fields), ensure_ascii=False)

    def _of(self, value: object) -> object:
        match value:
            case dict():
                return {key: 0 if key in _TIMES and one else self._of(one) for key, one in value.items()}
            case list():
                return [self._of(one) for one in value]
            case str() if len(value) > _MOST:
                digest = hashlib.sha256(value.encode()).hexdigest()
                return f"<{len(value)} characters, SHA-256 {digest[:16]}>"
            case str():
                return _ID.sub(self._numbered, value)
        return value

    def _numbered(self, found: re.Match[str]) -> str:
        kind = found["kind"] or found["chat"] or "id"
        return self._ids.setdefault(found[0], f"<{kind} {len(self._ids) + 1}>")
