"""What a failure that the server tells means to an OpenAI client."""

from typing import Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from howler.error.v1.error_reason_pb2 import ErrorReason

from facade.errors import ApiError, internal

_DOMAIN: Final = "howler"
_NEW_REASON: Final = -1  # a word of a newer server's alphabet: told as a bug, for it has no row here
_AWAY: Final = {code.value[0] for code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)}


def told_by(error: grpc.aio.AioRpcError) -> ApiError:
    """Return what a failed RPC means to an OpenAI client."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return told_by_status(Status.FromString(value))
    return told_by_status(Status(code=error.code().value[0]))


def told_by_status(status: Status) -> ApiError:
    """Return what a failure means that was told by its status, of an RPC or of one turn on a Relay.

    The server's own failures name their reason (ErrorInfo); a connection that
    fails has none. Whatever else comes is a bug, and its message stays here.
    """
    reason = reason_of(status)
    if reason is not None:
        return ApiError.of(reason, status.message, _retry_after_of(status))
    if status.code in _AWAY:
        return ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)
    return internal()


def reason_of(status: Status) -> int | None:
    """Return the word of the alphabet that the status names; None for none, -1 for an unknown one."""
    info = ErrorInfo()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info) and info.domain == _DOMAIN:
            return dict(ErrorReason.items()).get(f"ERROR_REASON_{info.reason}", _NEW_REASON)
    return None


def _retry_after_of(status: Status) -> float | None:
    retry = RetryInfo()
    for detail in status.details:
        if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None
