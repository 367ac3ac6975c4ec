"""Reads the session updates of the Agent Client Protocol, nested and flat (upstream-protocol §7, §10).

PURE. An update that we know becomes its frame, any other `Unknown`.
"""

import binascii
from collections.abc import Callable
from typing import Any, Final

from howler.task.v1.task_event_pb2 import Command, NoticeKind, PlanEntry, PlanEntryStatus

from server.acp.calls import STATES, asked_in, read_call
from server.acp.cut import MAX_NAME_CHARS, named
from server.acp.frames import (
    Asked,
    Frame,
    Noted,
    Offered,
    Planned,
    Said,
    Shown,
    Thought,
    Unknown,
)
from server.acp.shapes import fields, first, metered, text_of


def read_update(payload: Any, kind: str, at: int) -> Frame:
    """Return what the payload of a `task-running` frame means.

    `update.sessionUpdate` names it in the platform's own dialect, a flat `type` in the older ones.
    """
    if not isinstance(payload, dict):
        return Unknown(type="task-running", kind=kind, data=text_of(payload), at=at)
    nested = payload.get("update")
    update = nested if isinstance(nested, dict) else payload
    name = first(update, "sessionUpdate", "type")
    reader = UPDATES.get(name) if isinstance(name, str) else None
    frame = reader(update, at) if reader else None
    if frame is None:
        return Unknown(type="task-running", kind=text_of(name) or kind, data=text_of(update), at=at)
    return frame


def asked_by(payload: Any, at: int) -> Frame:
    """Return the question of a frame of kind `acp_ask_user_question` (§7.6, the first carrier)."""
    outer = fields(payload)
    call = fields(outer.get("toolCall")) or outer
    name = text_of(first(call, "toolCallId", "request_id", "id"))
    asked = asked_in(call)
    if not 0 < len(name) <= MAX_NAME_CHARS or asked is None:
        return Unknown(type="task-running", kind="acp_ask_user_question", data=text_of(payload), at=at)
    return Asked(id=name, items=asked, state=STATES.get(text_of(call.get("status"))), at=at)


def _said(update: dict[str, Any], at: int) -> Frame | None:
    block = _block(update)
    if isinstance(block, str):
        return Said(text=block, at=at)
    return _shown(block, at) if block is not None else None


def _thought(update: dict[str, Any], at: int) -> Frame | None:
    block = _block(update)
    return Thought(text=block, at=at) if isinstance(block, str) else None


def _block(update: dict[str, Any]) -> str | dict[str, Any] | None:
    """Return the text of a chunk, or its content block where that is no text."""
    content = update.get("content")
    if isinstance(content, dict):
        text = content.get("text")
        return text if isinstance(text, str) and content.get("type", "text") == "text" else content
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        whole = all(isinstance(text, str) for text in texts) and len(texts) == len(content)
        return "".join(text for text in texts if isinstance(text, str)) if whole else None
    text = first(update, "text", "content")
    return text if isinstance(text, str) else None


_SIGNATURES: Final = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def _shown(block: dict[str, Any], at: int) -> Frame | None:
    if block.get("type") != "image":
        return None
    try:
        data = binascii.a2b_base64(text_of(block.get("data")))
    except (ValueError, binascii.Error):
        return None
    uri = text_of(first(block, "uri", "url"))
    if len(uri) > MAX_NAME_CHARS or not (data or uri):
        return None
    mime = named(text_of(first(block, "mimeType", "mime_type")))
    guess = next((name for magic, name in _SIGNATURES.items() if data.startswith(magic)), "")
    return Shown(
        mime_type=mime or guess or "application/octet-stream",
        data=data,
        uri=uri,
        at=at,
    )


_ENTRY_STATUS: Final = {
    "pending": PlanEntryStatus.PLAN_ENTRY_STATUS_PENDING,
    "in_progress": PlanEntryStatus.PLAN_ENTRY_STATUS_IN_PROGRESS,
    "running": PlanEntryStatus.PLAN_ENTRY_STATUS_IN_PROGRESS,
    "completed": PlanEntryStatus.PLAN_ENTRY_STATUS_COMPLETED,
    "done": PlanEntryStatus.PLAN_ENTRY_STATUS_COMPLETED,
}


def _planned(update: dict[str, Any], at: int) -> Frame | None:
    entries = first(update, "entries", "steps")
    if not isinstance(entries, list):
        return None
    return Planned(entries=tuple(_entry(entry) for entry in entries), at=at)


def _entry(entry: Any) -> PlanEntry:
    if isinstance(entry, str):
        return PlanEntry(content=entry)
    told = fields(entry)
    return PlanEntry(
        content=text_of(first(told, "content", "title")),
        status=_ENTRY_STATUS.get(text_of(told.get("status")), PlanEntryStatus.PLAN_ENTRY_STATUS_UNSPECIFIED),
        priority=text_of(told.get("priority")),
    )


def _offered(update: dict[str, Any], at: int) -> Frame | None:
    commands = first(update, "availableCommands", "commands")
    if not isinstance(commands, list):
        return None
    return Offered(commands=tuple(_command(command) for command in commands), at=at)


def _command(command: Any) -> Command:
    if isinstance(command, str):
        return Command(name=command)
    told = fields(command)
    return Command(
        name=text_of(told.get("name")),
        description=text_of(told.get("description")),
        hint=text_of(fields(told.get("input")).get("hint")),
    )


def _retried(update: dict[str, Any], at: int) -> Frame:
    attempt = text_of(update.get("attempt"))
    message = text_of(update.get("message")) or "the agent calls its model again"
    return Noted(
        kind=NoticeKind.NOTICE_KIND_LLM_RETRY,
        message=f"attempt {attempt}: {message}" if attempt else message,
        at=at,
    )


def _compacted(update: dict[str, Any], at: int) -> Frame | None:
    match update.get("status"):
        case "started":
            return Noted(
                kind=NoticeKind.NOTICE_KIND_COMPACTION_STARTED,
                message="the agent compacts its context",
                at=at,
            )
        case "ended":
            return Noted(
                kind=NoticeKind.NOTICE_KIND_COMPACTION_ENDED, message="the agent compacted its context", at=at
            )
    return None


def _switched(update: dict[str, Any], at: int) -> Frame:
    model = update.get("model")
    name = text_of(first(model, "name", "model", "id")) if isinstance(model, dict) else text_of(model)
    return Noted(kind=NoticeKind.NOTICE_KIND_MODEL_CHANGED, message=name or "the model changed", at=at)


UPDATES: Final[dict[str, Callable[[dict[str, Any], int], Frame | None]]] = {
    "agent_message_chunk": _said,
    "agent_thought_chunk": _thought,
    "tool_call": read_call,
    "tool_call_update": read_call,
    "plan": _planned,
    "available_commands_update": _offered,
    "usage_update": metered,
    "llm_call_retry": _retried,
    "compact_status": _compacted,
    "model_update": _switched,
}
