"""What the checks of requests share, whichever service they are of."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError

MAX_ID_BYTES: Final = 128
"""Of principals and of ids that callers make."""

_MAX_PRIORITY: Final = 100


def invalid(message: str) -> ServiceError:
    """Return INVALID_REQUEST with a message that names the field."""
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, message)


def check_priority(name: str, priority: int) -> None:
    """Raise INVALID_REQUEST for a field `name` that is no priority."""
    if abs(priority) > _MAX_PRIORITY:
        raise invalid(f"{name} must be between -{_MAX_PRIORITY} and {_MAX_PRIORITY}")


def check_size(name: str, value: str, limit: int) -> None:
    """Raise INVALID_REQUEST for a field `name` of more than `limit` bytes."""
    if len(value.encode()) > limit:
        raise invalid(f"{name} is longer than {limit} bytes")


def seconds_of(duration: Duration) -> float:
    """Return a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9
