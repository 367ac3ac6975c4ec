"""Reads the platform's messages: every dialect in, typed frames out (upstream-protocol §6, §7, §10).

Sans I/O and tolerant: whatever comes, the answer is a frame. A message that no
dialect explains is `Junk`, a kind that we do not know is `Unknown`; nothing is
dropped here and nothing raises.
"""

import binascii
import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from howler.task.v1.task_event_pb2 import NoticeKind

from server.acp.cut import MAX_LIST_BYTES
from server.acp.frames import (
    Answered,
    Asked,
    Began,
    Echo,
    Erred,
    Frame,
    Interrupted,
    Junk,
    Metered,
    Noted,
    Offered,
    Over,
    Planned,
    Said,
    Severed,
    Silent,
    Thought,
    Unknown,
)
from server.acp.shapes import items, metered, text_of
from server.acp.update import UPDATES, asked_by, read_update

_Json = msgspec.json.Decoder()
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_NO_TIME: Final = 1 << 62  # milliseconds
_LONE: Final = dict.fromkeys(range(55296, 57344), "�")


class _Envelope(msgspec.Struct):
    """The common shape of a frame (§6.2); another shape takes the slow way."""

    type: str
    data: Any = None
    kind: str = ""
    timestamp: int = 0
    seq: int = 0


_Envelopes = msgspec.json.Decoder(_Envelope)


# What nearly all frames are, in the platform's own dialect (§6.3, §6.6). Whatever fits none of these shapes
# takes the slow way, and means the same there.

_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Time = Annotated[int, msgspec.Meta(ge=0, lt=_NO_TIME)]


class _Native(msgspec.Struct, tag_field="type"):
    timestamp: _Time = 0
    seq: _Count = 0


class _Running(_Native, kw_only=True, tag="task-running"):
    """What an agent does; `data` is base64."""

    kind: Literal["acp_event"]
    data: bytes


class _Input(_Native, kw_only=True, tag="user-input"):
    """The prompt, told back; `data` is base64."""

    data: bytes


class _Started(_Native, tag="task-started"):
    data: None = None


class _Ended(_Native, tag="task-ended"):
    data: None = None


class _Text(msgspec.Struct):
    text: str
    type: Literal["text"] = "text"


class _Chunk(msgspec.Struct, tag_field="sessionUpdate"):
    """A piece of text (§7.1)."""

    content: _Text


class _Message(_Chunk, tag="agent_message_chunk"):
    pass


class _Thinking(_Chunk, tag="agent_thought_chunk"):
    pass


class _Used(msgspec.Struct, tag_field="sessionUpdate", tag="usage_update", forbid_unknown_fields=True):
    """How full the context is (§7.5)."""

    used: _Count
    size: _Count


class _Done(msgspec.Struct):
    update: _Message | _Thinking | _Used


_Natives = msgspec.json.Decoder(_Running | _Input | _Started | _Ended)
_Prompts = msgspec.json.Decoder(dict[str, Any])
_Updates = msgspec.json.Decoder(_Done)


class Decoder:
    """Reads the frames of one backend.

    `native` is True once a frame of the agent carried base64 of JSON, the platform's own
    dialect: from then on a base64 string of plain text is read as that text
    (§10.2 c). `foreign` is True once `data` came in another form.
    """

    def __init__(self) -> None:
        self.native = False
        self.foreign = False

    def decode(self, message: str | bytes) -> Frame:
        """Return what one WebSocket message means."""
        try:
            frame = _Natives.decode(message)
            at = frame.timestamp
            if isinstance(frame, _Input):
                return Echo(text=prompt_of(_Prompts.decode(frame.data)), at=at, seq=frame.seq)
            if not isinstance(frame, _Running):
                return (Began if isinstance(frame, _Started) else Over)(at=at, seq=frame.seq)
            update = _Updates.decode(frame.data).update
        except _UNREADABLE:
            return self._decode_any(message)
        self.native = True
        if isinstance(update, _Message):
            return Said(text=update.content.text, at=at, seq=frame.seq)
        if isinstance(update, _Thinking):
            return Thought(text=update.content.text, at=at, seq=frame.seq)
        return Metered(context_used=update.used, context_size=update.size, at=at, seq=frame.seq)

    def stored(self, event: str, kind: str, data: str | None, at: int, seq: int) -> Frame:
        """Return what a stored message means (§5.7); `at` in milliseconds."""
        size = len(data) if data is not None else 0
        return self._opened(_Envelope(type=event, data=data, kind=kind, timestamp=at, seq=seq), size)

    def _decode_any(self, message: str | bytes) -> Frame:
        try:
            envelope = _Envelopes.decode(message)
        except _UNREADABLE:
            slow = _read_slowly(message)
            if slow is None:
                return Junk()
            envelope = slow
        return self._opened(envelope, len(message))

    def _opened(self, envelope: _Envelope, size: int) -> Frame:
        try:
            frame = self._frame(envelope)
            if envelope.seq > 0:
                msgspec.structs.force_setattr(frame, "seq", envelope.seq)  # made here, seen by nobody yet
            if size > MAX_LIST_BYTES and isinstance(frame, Answered | Asked | Offered | Planned):
                data = text_of(self.payload(envelope.data))
                return Unknown(type=envelope.type, kind=envelope.kind, data=data, at=frame.at, seq=frame.seq)
            return frame
        except (ValueError, TypeError, OverflowError, RecursionError):
            return Junk(at=_at(envelope.timestamp))

    def _frame(self, envelope: _Envelope) -> Frame:
        name = envelope.type.replace("_", "-")
        at = _at(envelope.timestamp)
        native = self.native
        data = self.payload(envelope.data)
        if name == "user-input":
            self.native = native  # a prompt told back as plain text may itself be base64 of JSON
        reader = _READERS.get(name)
        if reader is not None:
            return reader(data, envelope.kind, at)
        if envelope.type in UPDATES and isinstance(data, dict):
            return read_update({"sessionUpdate": envelope.type, **data}, envelope.kind, at)
        if envelope.type in UPDATES and isinstance(data, str):
            return read_update({"sessionUpdate": envelope.type, "text": data}, envelope.kind, at)
        return Unknown(type=envelope.type, kind=envelope.kind, data=text_of(data), at=at)

    def payload(self, data: Any) -> Any:
        """Return a frame's payload by the tolerant rule of §10.2."""
        if not isinstance(data, str):
            if data is not None:
                self.foreign = True
            return data
        raw = _strict_base64(data)
        if raw is not None:
            value = parse(raw)
            if isinstance(value, dict | list | str):
                self.native = True
                return value
        if data[:1] in "{[":
            value = parse(data)
            if isinstance(value, dict | list):
                self.foreign = True
                return value
        if raw is not None and self.native:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return data
        self.foreign = self.foreign or raw is None
        return data


def parse(text: str | bytes) -> Any:
    """Return the JSON value, or None where there is none.

    Half a surrogate pair, which JavaScript agents cut out of their text, becomes U+FFFD.
    """
    try:
        return _Json.decode(text)
    except _UNREADABLE:
        pass
    try:
        return _mended(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _mended(value: Any) -> Any:
    match value:
        case str():
            return value.translate(_LONE)
        case list():
            return [_mended(item) for item in value]
        case dict():
            return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def _strict_base64(text: str) -> bytes | None:
    """Decode padded standard base64 as Go's encoding/json does: CR and LF are skipped."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (ValueError, binascii.Error):
        pass
    if "\n" not in text and "\r" not in text:
        return None
    try:
        return binascii.a2b_base64(text.replace("\n", "").replace("\r", ""), strict_mode=True)
    except (ValueError, binascii.Error):
        return None


def _read_slowly(message: str | bytes) -> _Envelope | None:
    """Read a frame whose fields have other types or names in another case (§6.2)."""
    value = parse(message)
    if not isinstance(value, dict):
        return None
    fields = {key.lower(): item for key, item in value.items()}
    kind = fields.get("type")
    if not isinstance(kind, str):
        return None
    stamp, seq = fields.get("timestamp"), fields.get("seq")
    return _Envelope(
        type=kind,
        data=fields.get("data"),
        kind=text_of(fields.get("kind")),
        timestamp=int(stamp) if isinstance(stamp, int | float) and abs(stamp) < 1 << 63 else 0,
        seq=seq if isinstance(seq, int) else 0,
    )


def _at(timestamp: int) -> int:
    return timestamp if 0 < timestamp < _NO_TIME else 0


def _silent(_data: Any, _kind: str, at: int) -> Frame:
    return Silent(at=at)


def _over(data: Any, _kind: str, at: int) -> Frame:
    usage = data.get("usage") if isinstance(data, dict) else None
    return Over(usage=metered(usage) if isinstance(usage, dict) else None, at=at)


def _erred(data: Any, _kind: str, at: int) -> Frame:
    return Erred(message=_complaint(data) or "the agent reported an error", at=at)


def _severed(data: Any, _kind: str, at: int) -> Frame:
    return Severed(message=_complaint(data) or "the platform reported an error", at=at)


def _complaint(data: Any) -> str:
    """Return the text of an error payload; `details` tells most (§6.3)."""
    if isinstance(data, dict):
        for key in ("details", "message", "error"):
            if data.get(key):
                return text_of(data[key])
        return ""
    return text_of(data)


def _echo(data: Any, _kind: str, at: int) -> Frame:
    return Echo(text=prompt_of(data), at=at)


def prompt_of(data: Any) -> str:
    """Return the prompt of a user-input payload in any dialect (§10.1)."""
    if not isinstance(data, dict):
        return text_of(data)
    content = data.get("content")
    if not isinstance(content, str):
        return text_of(data)
    if data.get("encoding") == "plaintext":
        return content
    raw = _strict_base64(content)
    if raw is None:
        return content
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return content
    inner = parse(text) if text[:1] == "{" else None
    if isinstance(inner, dict) and isinstance(inner.get("content"), str):
        return str(inner["content"])
    return text


def _answered(data: Any, _kind: str, at: int) -> Frame:
    if not isinstance(data, dict):
        return Junk(at=at)
    chosen = data.get("answers_json")
    answers = parse(chosen) if isinstance(chosen, str) else chosen
    return Answered(
        id=text_of(data.get("request_id")),
        answers=tuple(
            (question, tuple(text_of(value) for value in items(values)) or (text_of(values),))
            for question, values in (answers.items() if isinstance(answers, dict) else ())
        ),
        cancelled=data.get("cancelled") is True,
        at=at,
    )


def _changed(data: Any, kind: str, at: int) -> Frame:
    """A `task-event`, of which §8 knows two kinds."""
    change = text_of(data.get("change_type")) if isinstance(data, dict) else ""
    match kind:
        case "repo_file_change":
            return Noted(kind=NoticeKind.NOTICE_KIND_FILES_CHANGED, message=change or "files changed", at=at)
        case "port_change":
            return Noted(kind=NoticeKind.NOTICE_KIND_PORTS_CHANGED, message=change or "ports changed", at=at)
    return Unknown(type="task-event", kind=kind, data=text_of(data), at=at)


_READERS: Final[dict[str, Callable[[Any, str, int], Frame]]] = {
    "ping": _silent,
    "cursor": _silent,
    "user-input": _echo,
    "user-cancel": lambda _data, _kind, at: Interrupted(at=at),
    "task-started": lambda _data, _kind, at: Began(at=at),
    "task-ended": _over,
    "task-error": _erred,
    "error": _severed,
    "reply-question": _answered,
    "session-update": read_update,
    "task-running": lambda data, kind, at: (
        asked_by(data, at) if kind == "acp_ask_user_question" else read_update(data, kind, at)
    ),
    "task-event": _changed,
}
