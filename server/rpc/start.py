"""Checks what a caller says about a turn, the same for every door."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_service_pb2 as pb

from server.errors import ServiceError

_MAX_ID_BYTES: Final = 128
MAX_PRIORITY: Final = 100
_MAX_SECONDS: Final = 315_576_000_000  # what google.protobuf.Duration states


def check_start(start: pb.StartTurn) -> None:
    """Raise INVALID_REQUEST, with the field's name, where a StartTurn cannot be meant."""
    match start.WhichOneof("input"):
        case None:
            raise invalid("start: prompt or messages must be set")
        case "prompt" if not start.prompt.strip():
            raise invalid("start.prompt is empty")
        case "messages":
            _check_messages(start.messages)
    for name in ("principal", "request_id"):
        if len(getattr(start, name).encode()) > _MAX_ID_BYTES:
            raise invalid(f"start.{name} is longer than {_MAX_ID_BYTES} bytes")
    if start.task_id and start.instructions:
        raise invalid("start.instructions: a task that exists has its instructions already")
    if start.HasField("deadline") and not 0 < _seconds(start.deadline) <= _MAX_SECONDS:
        raise invalid("start.deadline must be more than nothing and less than 10,000 years")
    if start.on_detach.HasField("grace") and not 0 <= _seconds(start.on_detach.grace) <= _MAX_SECONDS:
        raise invalid("start.on_detach.grace must not be negative and less than 10,000 years")
    if abs(start.priority) > MAX_PRIORITY:
        raise invalid(f"start.priority must be between -{MAX_PRIORITY} and {MAX_PRIORITY}")
    _check_enums(start, "start")


def _check_messages(messages: pb.Conversation) -> None:
    if not messages.messages:
        raise invalid("start.messages is empty")
    newest = messages.messages[-1]
    if newest.role == pb.Role.ROLE_ASSISTANT:
        raise invalid("start.messages: the last message must be the user's or a tool's")
    if not newest.text.strip():
        raise invalid("start.messages: the last message has no text")


def _check_enums(message: Message, path: str) -> None:
    """Refuse numbers that no value of the enum has; proto3 itself lets them through."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _check_enums(inner, name)
        elif field.enum_type is not None and value not in field.enum_type.values_by_number:
            raise invalid(f"{name}: {value} is no {field.enum_type.name}")


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def invalid(message: str) -> ServiceError:
    """Return INVALID_REQUEST with a message that names the field."""
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, message)
