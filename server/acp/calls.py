"""Reads tool calls and the questions that travel as tool calls (upstream-protocol §7.3, §7.6).

PURE. Agents differ in what they name things; the names they use stand in §7.3 and §10.
"""

import re
from typing import Any, Final

from howler.task.v1.task_event_pb2 import QuestionItem, QuestionOption
from howler.task.v1.tool_call_pb2 import Diff, Location, ToolCallState

from server.acp.cut import MAX_LOCATIONS, MAX_NAME_CHARS, named
from server.acp.frames import Asked, Called, Frame
from server.acp.shapes import count, fields, first, items, text_of

_S = ToolCallState

STATES: Final = {
    "pending": _S.TOOL_CALL_STATE_PENDING,
    "in_progress": _S.TOOL_CALL_STATE_IN_PROGRESS,
    "running": _S.TOOL_CALL_STATE_IN_PROGRESS,
    "completed": _S.TOOL_CALL_STATE_COMPLETED,
    "done": _S.TOOL_CALL_STATE_COMPLETED,
    "success": _S.TOOL_CALL_STATE_COMPLETED,
    "failed": _S.TOOL_CALL_STATE_FAILED,
    "error": _S.TOOL_CALL_STATE_FAILED,
    "cancelled": _S.TOOL_CALL_STATE_FAILED,
    "rejected": _S.TOOL_CALL_STATE_FAILED,
}


def read_call(update: dict[str, Any], at: int) -> Frame | None:
    """Return a tool call, a change of one, or the question that it carries; None without a usable id."""
    name = text_of(first(update, "toolCallId", "tool_call_id", "tool_id", "id"))
    if not name or len(name) > MAX_NAME_CHARS:
        return None
    state = STATES.get(text_of(update.get("status")))
    asked = asked_in(update) if _asks(update) else None
    if asked is not None:
        return Asked(id=name, items=asked, state=state, at=at)
    given = first(update, "rawInput", "tool_input")
    raw_output = first(update, "rawOutput", "extra")
    output = _output(update, raw_output)
    located = items(update.get("locations"))[:MAX_LOCATIONS]
    return Called(
        id=name,
        title=_told(first(update, "title", "tool_name")),
        kind=_told(update.get("kind")),
        state=state,
        raw_input=text_of(given) if given not in (None, {}, "") else None,
        output=output,
        raw_output=_rest(raw_output, output),
        locations=tuple(_location(place) for place in located) or None,
        diffs=_diffs(update),
        at=at,
    )


def _told(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _output(update: dict[str, Any], raw: Any) -> str | None:
    """Return the output as text: what the tool returned, else what its content blocks show."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, dict):
        if isinstance(raw.get("output"), str):
            return str(raw["output"])
        told = [
            raw[key] for key in ("stdout", "stderr", "error") if isinstance(raw.get(key), str) and raw[key]
        ]
        if told:
            return "\n".join(told)
    shown = [
        block["content"]["text"]
        for block in items(update.get("content"))
        if isinstance(block, dict) and isinstance(fields(block.get("content")).get("text"), str)
    ]
    if shown:
        return "\n".join(shown)
    flat = first(update, "tool_output", "delta")
    return text_of(flat) if flat is not None else None


def _rest(raw: Any, output: str | None) -> str | None:
    """Return the raw output where it holds more than its text."""
    if raw is None or isinstance(raw, str) or raw == {"output": output}:
        return None
    return text_of(raw)


def _location(place: Any) -> Location:
    told = fields(place)
    line = count(told.get("line")) or 0
    return Location(path=named(text_of(told.get("path"))), line=min(line, 2**31 - 1))


def _diffs(update: dict[str, Any]) -> tuple[Diff, ...] | None:
    blocks = [block for block in items(update.get("content")) if fields(block).get("type") == "diff"]
    if not blocks:
        return None
    return tuple(
        Diff(
            path=named(text_of(block.get("path"))),
            old_text=text_of(block.get("oldText")),
            new_text=text_of(block.get("newText")),
        )
        for block in blocks
    )


def _asks(update: dict[str, Any]) -> bool:
    """Tell whether a tool call is a question in disguise, as the web client does (§7.6, 2)."""
    title = re.sub(r"[\s_]+", "-", text_of(first(update, "title", "tool_name")).strip().lower())
    kind = text_of(update.get("kind"))
    return (
        title in ("question", "user-question")
        or title.endswith("-user-question")
        or "ask-user-question" in title
        or kind in ("user-question", "ask-user-question")
        or (not title and not kind)
    )


def asked_in(call: dict[str, Any]) -> tuple[QuestionItem, ...] | None:
    """Return the questions that a call carries, None where it carries none."""
    given = fields(first(call, "rawInput", "tool_input"))
    meta = fields(fields(call.get("_meta")).get("askUserQuestion"))
    asked = first(given, "questions")
    if not isinstance(asked, list):
        asked = meta.get("questions")
    if not isinstance(asked, list):
        return None
    several = first(given, "multiple") is True or meta.get("multiple") is True
    return tuple(_question(fields(question), several) for question in asked)


def _question(told: dict[str, Any], several: bool) -> QuestionItem:
    multiple = first(told, "multiple", "multiSelect")
    return QuestionItem(
        text=text_of(told.get("question")),
        header=text_of(told.get("header")),
        options=[
            QuestionOption(label=option)
            if isinstance(option, str)
            else QuestionOption(
                label=text_of(fields(option).get("label")),
                description=text_of(fields(option).get("description")),
            )
            for option in items(told.get("options"))
        ],
        multiple=several if multiple is None else multiple is True,
        custom=told.get("custom") is True,
    )
