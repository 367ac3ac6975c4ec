"""Writes the frames that Howler sends to the platform (upstream-protocol §6.4, §6.5, §7.6, §8, §10.1).

PURE. A frame is the text of one WebSocket message; the platform's limit is 32,768 bytes each (§6.1).
"""

import base64
from collections.abc import Mapping
from enum import Enum
from typing import Final, assert_never

import msgspec

MAX_FRAME_BYTES: Final = 32_768
CANCEL: Final = '{"type":"user-cancel"}'
AUTO_APPROVE: Final = '{"type":"auto-approve"}'
NO_AUTO_APPROVE: Final = '{"type":"disable-auto-approve"}'


class Dialect(Enum):
    """How a backend wants its prompts (§10.1)."""

    NATIVE = "native"
    TEXT = "text"
    LEGACY = "legacy"


class FrameTooLarge(Exception):
    """The frame is over 32,768 bytes: the platform would close the socket with 1009."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a frame of {size} bytes, over the platform's limit of {MAX_FRAME_BYTES}")
        self.size = size


class Reply(msgspec.Struct, frozen=True):
    """The answer to a question: texts of its items and what was chosen for each."""

    request_id: str
    answers: dict[str, str | list[str]]
    cancelled: bool


class Enclosed(msgspec.Struct, frozen=True):
    """A file that goes with a prompt: where it was uploaded, and its name for the agent (§5.9)."""

    url: str
    filename: str


class _Input(msgspec.Struct):
    content: str
    attachments: tuple[Enclosed, ...]


class _Answer(msgspec.Struct):
    request_id: str
    answers_json: str
    cancelled: bool


class _Uplink(msgspec.Struct):
    type: str
    data: object


class _Call(msgspec.Struct, tag_field="type", tag="call"):
    kind: str
    data: str


def prompt_frame(text: str, dialect: Dialect, enclosed: tuple[Enclosed, ...] = ()) -> str:
    """Return the frame that gives the agent a prompt; files go with it in the native dialect alone.

    Raises FrameTooLarge: the largest ASCII prompt of the native dialect is 18,390 bytes (§6.4).
    """
    assert not enclosed or dialect is Dialect.NATIVE, "no other dialect has attachments"
    match dialect:
        case Dialect.NATIVE:
            inner = _json(_Input(content=_base64(text.encode()), attachments=enclosed))
            frame = _Uplink("user-input", _base64(inner))
        case Dialect.TEXT:
            frame = _Uplink("user-input", text)
        case Dialect.LEGACY:
            inner = b'{"content": ' + _json(text) + b"}"  # Python's json put the space there (§10.1)
            frame = _Uplink("user_input", {"content": _base64(inner)})
        case _:
            assert_never(dialect)
    return _bounded(frame)


def reply_frame(reply: Reply, dialect: Dialect) -> str:
    """Return the frame that answers a question. Raises FrameTooLarge."""
    answers = "" if reply.cancelled else _json(reply.answers).decode()
    payload = _json(_Answer(request_id=reply.request_id, answers_json=answers, cancelled=reply.cancelled))
    data = _base64(payload) if dialect is Dialect.NATIVE else payload.decode()
    return _bounded(_Uplink("reply-question", data))


def call_frame(kind: str, fields: Mapping[str, object]) -> str:
    """Return the frame that makes a call over a task's control socket (§8). Raises FrameTooLarge."""
    return _bounded(_Call(kind, _base64(_json(fields))))


def fits(reply: Reply) -> bool:
    """Tell whether the answer to a question fits a frame, whatever the dialect."""
    try:
        for dialect in Dialect:
            reply_frame(reply, dialect)
    except FrameTooLarge:
        return False
    return True


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bounded(frame: _Uplink | _Call) -> str:
    raw = _json(frame)
    if len(raw) > MAX_FRAME_BYTES:
        raise FrameTooLarge(len(raw))
    return raw.decode()
