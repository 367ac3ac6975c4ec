"""Reads the frames that clients send over the WebSocket of /v1/responses (openai-surface.md §6.6). Pure."""

from dataclasses import dataclass, replace
from typing import Final

import msgspec
from howler.task.v1.task_event_pb2 import TokenUsage
from msgspec import Raw, Struct

from facade.errors import invalid, unsupported
from facade.openai.event_writer import EventWriter
from facade.openai.response_object import ResponseObject
from facade.openai.responses_request import read_echo
from facade.openai.wire import parse

CREATE: Final = "response.create"
STEER: Final = "response.steer"

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


def read_frame(data: bytes) -> Creation | str:
    """Return what a frame asks for; of a `response.steer` the event that refuses it. Raises the 400."""
    head = parse(data, _Head)
    if head.type == STEER:
        return _not_steered(head)
    if head.type != CREATE:
        raise invalid("The type is neither response.create nor response.steer.", "type")
    if head.stream_id is not None:
        raise unsupported("Responses of one connection come one after another.", "stream_id")
    fields = parse(data, dict[str, Raw])
    for name in _OF_THE_FRAME:
        fields.pop(name, None)
    fields["stream"] = Raw(b"true")
    return Creation(msgspec.json.encode(fields), head.generate is not False)


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


def _not_steered(head: _Head) -> str:
    error = {
        "code": "steering_not_supported",
        "message": "The agent takes no word in between: interrupt the response, then go on from it.",
        "type": "invalid_request_error",
    }
    steer = {"input": head.input, "previous_response_id": head.previous_response_id or ""}
    told = {"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer}
    return msgspec.json.encode(told).decode()
