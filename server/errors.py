"""The one error of the server, and what gRPC makes of each of its reasons.

Below `rpc/` code raises `ServiceError` and nothing else on purpose. Whatever
else arrives at the edge is a bug.
"""

import logging
import uuid
from typing import Final

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason

_log = logging.getLogger("howler")
_PREFIX: Final = "ERROR_REASON_"


class ServiceError(Exception):
    """A failure that a caller may see.

    `reason` is a word of the alphabet (howler.error.v1.ErrorReason), `message`
    a line for people that holds no secret and no prompt, `retry_after` the
    seconds after which trying again may help, or None where none are known.
    """

    def __init__(self, reason: ErrorReason, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def __repr__(self) -> str:
        return f"ServiceError({reason_name(self.reason)}, {self.message!r})"


def reason_name(reason: ErrorReason) -> str:
    """Return the reason as callers see it: `POOL_EXHAUSTED`."""
    return ErrorReason.Name(reason).removeprefix(_PREFIX)


def incident(error: BaseException, where: str) -> ServiceError:
    """Log a bug whole and return what a caller may see of it: the incident's id and nothing else."""
    name = uuid.uuid4().hex[:12]
    _log.error("incident %s in %s", name, where, exc_info=error)
    return ServiceError(ErrorReason.ERROR_REASON_INTERNAL, f"internal error, incident {name}")


_C = grpc.StatusCode

CODES: Final[dict[ErrorReason, grpc.StatusCode]] = {
    ErrorReason.ERROR_REASON_UNSPECIFIED: _C.UNKNOWN,
    ErrorReason.ERROR_REASON_INTERNAL: _C.INTERNAL,
    ErrorReason.ERROR_REASON_INVALID_REQUEST: _C.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_UNSUPPORTED_VALUE: _C.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_PROMPT_TOO_LARGE: _C.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_UNAUTHENTICATED: _C.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_PERMISSION_DENIED: _C.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_RATE_LIMITED: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_IDEMPOTENCY_MISMATCH: _C.ABORTED,
    ErrorReason.ERROR_REASON_MODEL_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_MODEL_ACCESS_DENIED: _C.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_TASK_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_TURN_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_QUESTION_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_LEASE_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_CONVERSATION_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_RESPONSE_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_IMAGE_NOT_FOUND: _C.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_TASK_BUSY: _C.ABORTED,
    ErrorReason.ERROR_REASON_TASK_ENDED: _C.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_LEASE_LOST: _C.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_ALREADY_EXISTS: _C.ALREADY_EXISTS,
    ErrorReason.ERROR_REASON_CONVERSATION_BUSY: _C.ABORTED,
    ErrorReason.ERROR_REASON_FILE_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_NO_ACCOUNT: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_POOL_EXHAUSTED: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_CONCURRENCY_LIMIT: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_QUOTA_EXHAUSTED: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_SESSION_EXPIRED: _C.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_LOGIN_FAILED: _C.UNAUTHENTICATED,
    ErrorReason.ERROR_REASON_ACCOUNT_BLOCKED: _C.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_CAPTCHA_REQUIRED: _C.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_TEAM_SESSION: _C.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_UPSTREAM_ERROR: _C.INTERNAL,
    ErrorReason.ERROR_REASON_UPSTREAM_PROTOCOL: _C.INTERNAL,
    ErrorReason.ERROR_REASON_UPSTREAM_REJECTED: _C.INVALID_ARGUMENT,
    ErrorReason.ERROR_REASON_UPSTREAM_FORBIDDEN: _C.PERMISSION_DENIED,
    ErrorReason.ERROR_REASON_UPSTREAM_PRECONDITION: _C.FAILED_PRECONDITION,
    ErrorReason.ERROR_REASON_UPSTREAM_NOT_FOUND: _C.NOT_FOUND,
    ErrorReason.ERROR_REASON_UPSTREAM_ALREADY_EXISTS: _C.ALREADY_EXISTS,
    ErrorReason.ERROR_REASON_HOST_UNAVAILABLE: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_UPSTREAM_LOST: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_ACCEPTANCE_UNKNOWN: _C.UNKNOWN,
    ErrorReason.ERROR_REASON_VM_FAILED: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_AGENT_ERROR: _C.INTERNAL,
    ErrorReason.ERROR_REASON_REPLAY_DIVERGED: _C.DATA_LOSS,
    ErrorReason.ERROR_REASON_CONNECT_TIMEOUT: _C.DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_BOOT_TIMEOUT: _C.DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT: _C.DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_IDLE_TIMEOUT: _C.DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_TIME_LIMIT: _C.DEADLINE_EXCEEDED,
    ErrorReason.ERROR_REASON_CANCELLED: _C.CANCELLED,
    ErrorReason.ERROR_REASON_SLOW_CONSUMER: _C.RESOURCE_EXHAUSTED,
    ErrorReason.ERROR_REASON_SHUTTING_DOWN: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE: _C.UNAVAILABLE,
    ErrorReason.ERROR_REASON_STORE_UNAVAILABLE: _C.UNAVAILABLE,
}
