"""Reads the frames that clients send over the WebSocket of /v1/responses (openai-surface.md §6.6). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from howler.task.v1.task_event_pb2 import TokenUsage
from msgspec import Raw, Struct

from facade.errors import ApiError, invalid, unsupported
from facade.openai.continuation import input_of
from facade.openai.event_writer import EventWriter
from facade.openai.response_object import ResponseObject
from facade.openai.responses_request import read_echo
from facade.openai.wire import parse

CREATE: Final = "response.create"
STEER: Final = b"response.steer"

_OF_THE_FRAME: Final = ("type", "generate", "stream_id")


class _Head(Struct):
    """What a frame is for."""

    type: str
    generate: bool | None = None
    stream_id: str | None = None
    previous_response_id: str | None = None
    input: Raw = Raw(b"null")


@dataclass(frozen=True, slots=True)
class Creation:
    """A `response.create`: the request as its body over HTTP would be, streamed.

    `generates` is false for a prewarm: what it says is remembered, and no agent runs.
    """

    body: bytes
    generates: bool


@dataclass(frozen=True, slots=True)
class Steer:
    """A `response.steer`: what is to be said now to the agent of the response `previous`. `id` is ours."""

    previous: str
    input: Raw
    id: str

    def accepted(self) -> str:
        """Return the event that says that it will be said."""
        steer = {"id": self.id, "previous_response_id": self.previous}
        told = {"type": "response.steer.accepted", "sequence_number": 0, "steer": steer}
        return msgspec.json.encode(told).decode()

    def failed(self, code: str, message: str) -> str:
        """Return the event that gives it back; `code` is one of openai's for that."""
        error = {"code": code, "message": message, "type": "invalid_request_error"}
        steer = {"id": self.id, "input": self.input, "previous_response_id": self.previous}
        told = {"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer}
        return msgspec.json.encode(told).decode()


def steer_of(data: bytes, unique: str) -> Steer | None:
    """Return what a frame says to the agent that works, by an id made of `unique`; None where it does not."""
    if STEER not in data:
        return None
    try:
        head = parse(data, _Head)
    except ApiError:
        return None  # which `read_creation` tells
    if head.type != STEER.decode():
        return None
    return Steer(head.previous_response_id or "", head.input, f"steer_{unique}")


def read_creation(data: bytes) -> Creation:
    """Return what a frame asks for; raises the 400."""
    head = parse(data, _Head)
    if head.type != CREATE:
        raise invalid("The type is neither response.create nor response.steer.", "type")
    if head.stream_id is not None:
        raise unsupported("Responses of one connection come one after another.", "stream_id")
    fields = parse(data, dict[str, Raw])
    for name in _OF_THE_FRAME:
        fields.pop(name, None)
    fields["stream"] = Raw(b"true")
    return Creation(msgspec.json.encode(fields), head.generate is not False)


def successor(body: bytes, response_id: str, steers: Sequence[Steer]) -> bytes:
    """Return the request that goes on from the response to `body`, with what is to be said."""
    fields = parse(body, dict[str, Raw])
    said = [item for steer in steers for item in input_of(msgspec.json.encode({"input": steer.input}))]
    told = {"previous_response_id": response_id, "input": said}
    return msgspec.json.encode(fields | told)


def warmed(response_id: str, created_at: int, body: bytes) -> bytes:
    """Return the SSE frames of the response to a prewarm; `created_at` is in seconds since 1970.

    Raises the 400.
    """
    model, echo = read_echo(body)
    writer, response = (
        EventWriter(),
        ResponseObject(response_id, created_at, model, replace(echo, store=False)),
    )
    for type_ in ("response.created", "response.in_progress"):
        writer.write(type_, {"response": response.in_progress()})
    writer.write("response.completed", {"response": response.completed([], TokenUsage(), created_at)})
    return writer.take()
