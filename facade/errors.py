"""The errors of the HTTP front: one row per word of the alphabet, one envelope.

The statuses, types and codes are those of openai-surface.md §4.1; who retries
what is §4.2. No I/O: backend/status.py makes these of gRPC's errors.
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason

_PREFIX: Final = "ERROR_REASON_"

DEFAULT_RETRY_AFTER: Final = 5.0
"""Seconds told where waiting helps and nobody said how long: Codex retries a 429 only if some are told."""


class Retry(enum.Enum):
    """Whether the same request may be sent again, and what the headers say of it."""

    NEVER = "never"
    """Not told `retry-after`; `x-should-retry: false` where the SDKs would retry by the status."""
    TOLD = "told"
    """`retry-after` only where the server named a time."""
    ALWAYS = "always"
    """`retry-after` in any case."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an OpenAI client is told for one reason.

    `message` replaces the server's own where that is the operator's business.
    """

    status: int
    type: str
    code: str
    retry: Retry = Retry.NEVER
    param: str | None = None
    message: str | None = None


class ApiError(Exception):
    """A failure as an OpenAI client sees it.

    `message` is for people and holds no prompt, key or cookie. `retry_after`
    is in seconds.
    """

    def __init__(
        self,
        status: int,
        type_: str,
        code: str | None,
        message: str,
        *,
        param: str | None = None,
        retry: Retry = Retry.NEVER,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type_
        self.code = code
        self.message = message
        self.param = param
        self.retry = retry
        self.retry_after = retry_after

    @classmethod
    def of(cls, reason: int, message: str = "", retry_after: float | None = None) -> "ApiError":
        """Return the error for a reason of the alphabet; an unknown one is a bug, its message dropped."""
        row = TABLE.get(reason)
        if row is None:
            return internal()
        text = row.message or message or _words(reason)
        return cls(
            row.status, row.type, row.code, text, param=row.param, retry=row.retry, retry_after=retry_after
        )

    def once_accepted(self) -> "ApiError":
        """Return the same failure of a turn that runs, or may: sent again it would run again."""
        return ApiError(self.status, self.type, self.code, self.message, param=self.param)

    def body(self) -> bytes:
        """Return the envelope: `{"error":{"message":…,"type":…,"param":…,"code":…}}`."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that steer retries (openai-surface.md §3)."""
        match self.retry:
            case Retry.NEVER:
                retried = self.status in {408, 409, 429} or self.status >= 500
                return [(b"x-should-retry", b"false")] if retried else []
            case Retry.TOLD if self.retry_after is None:
                return []
            case _:
                seconds = DEFAULT_RETRY_AFTER if self.retry_after is None else self.retry_after
                return [(b"retry-after", b"%d" % max(1, math.ceil(seconds)))]

    def response_code(self) -> str:
        """Return the word for `response.failed`: its set is closed (openai-surface.md §4.3)."""
        if self.status == 400 or self.code == "insufficient_quota":
            return "invalid_prompt"
        return "rate_limit_exceeded" if self.status == 429 else "server_error"


def invalid(message: str, param: str | None = None, code: str | None = "invalid_value") -> ApiError:
    """Return the 400 for a request that is wrong in the field `param`."""
    return ApiError(400, "invalid_request_error", code, message, param=param)


def unsupported(message: str, param: str) -> ApiError:
    """Return the 400 for a value that is well-formed, but cannot be served."""
    return invalid(message, param, "unsupported_value")


def internal(incident: str | None = None) -> ApiError:
    """Return the 500 for a bug: it tells the incident's id, where there is one, and nothing else."""
    told = "Internal error." if incident is None else f"Internal error; incident {incident}."
    return ApiError(500, "server_error", "internal_error", told)


def _words(reason: int) -> str:
    name = ErrorReason.Name(ErrorReason.ValueType(reason))
    return name.removeprefix(_PREFIX).replace("_", " ").capitalize() + "."


_BAD = "invalid_request_error"
_SERVER = "server_error"
_DOWN = "service_unavailable"
_OPERATOR: Final = "The gateway has no account that can serve this now; its operator has to see to it."

_AWAY: Final = "The platform cannot be reached now."


def _unavailable(retry: Retry, message: str | None = None) -> Row:
    return Row(503, _SERVER, _DOWN, retry, message=message)


TABLE: Final[dict[int, Row]] = {
    ErrorReason.ERROR_REASON_UNSPECIFIED: Row(500, _SERVER, "internal_error", message="Internal error."),
    ErrorReason.ERROR_REASON_INTERNAL: Row(500, _SERVER, "internal_error"),
    ErrorReason.ERROR_REASON_INVALID_REQUEST: Row(400, _BAD, "invalid_value"),
    ErrorReason.ERROR_REASON_UNSUPPORTED_VALUE: Row(400, _BAD, "unsupported_value"),
    ErrorReason.ERROR_REASON_PROMPT_TOO_LARGE: Row(400, _BAD, "context_length_exceeded"),
    ErrorReason.ERROR_REASON_UNAUTHENTICATED: Row(401, _BAD, "invalid_api_key"),
    ErrorReason.ERROR_REASON_PERMISSION_DENIED: Row(403, _BAD, "permission_denied"),
    ErrorReason.ERROR_REASON_RATE_LIMITED: Row(429, "rate_limit_error", "rate_limit_exceeded", Retry.ALWAYS),
    ErrorReason.ERROR_REASON_IDEMPOTENCY_MISMATCH: Row(409, "conflict_error", "run_in_progress"),
    ErrorReason.ERROR_REASON_MODEL_NOT_FOUND: Row(404, _BAD, "model_not_found", param="model"),
    ErrorReason.ERROR_REASON_MODEL_ACCESS_DENIED: Row(403, _BAD, "permission_denied", param="model"),
    ErrorReason.ERROR_REASON_TASK_NOT_FOUND: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_TURN_NOT_FOUND: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_QUESTION_NOT_FOUND: Row(404, _BAD, "not_found"),
    # An HTTP client names neither accounts, leases nor images: what is missing is the operator's.
    ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_LEASE_NOT_FOUND: _unavailable(Retry.TOLD),
    ErrorReason.ERROR_REASON_IMAGE_NOT_FOUND: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_CONVERSATION_NOT_FOUND: Row(
        400, _BAD, "conversation_not_found", param="conversation"
    ),
    ErrorReason.ERROR_REASON_RESPONSE_NOT_FOUND: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_TASK_BUSY: Row(409, "conflict_error", "run_in_progress"),
    ErrorReason.ERROR_REASON_CONVERSATION_BUSY: Row(409, "conflict_error", "run_in_progress"),
    ErrorReason.ERROR_REASON_FILE_NOT_FOUND: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_TASK_ENDED: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_LEASE_LOST: _unavailable(Retry.TOLD),
    ErrorReason.ERROR_REASON_ALREADY_EXISTS: Row(409, "conflict_error", "already_exists"),
    ErrorReason.ERROR_REASON_NO_ACCOUNT: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_POOL_EXHAUSTED: Row(
        429, "rate_limit_error", "rate_limit_exceeded", Retry.ALWAYS
    ),
    ErrorReason.ERROR_REASON_CONCURRENCY_LIMIT: Row(
        429, "rate_limit_error", "rate_limit_exceeded", Retry.ALWAYS
    ),
    ErrorReason.ERROR_REASON_QUOTA_EXHAUSTED: Row(429, "insufficient_quota", "insufficient_quota"),
    # Trouble with the pool's accounts is not the client's key: never a 401.
    ErrorReason.ERROR_REASON_SESSION_EXPIRED: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_LOGIN_FAILED: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_ACCOUNT_BLOCKED: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_CAPTCHA_REQUIRED: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_TEAM_SESSION: _unavailable(Retry.TOLD, _OPERATOR),
    # The server's own words name addresses and settings.
    ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE: _unavailable(Retry.ALWAYS, _AWAY),
    ErrorReason.ERROR_REASON_UPSTREAM_ERROR: _unavailable(Retry.TOLD),
    ErrorReason.ERROR_REASON_UPSTREAM_PROTOCOL: _unavailable(Retry.TOLD),
    ErrorReason.ERROR_REASON_UPSTREAM_REJECTED: Row(400, _BAD, "invalid_value"),
    ErrorReason.ERROR_REASON_UPSTREAM_FORBIDDEN: _unavailable(Retry.TOLD, _OPERATOR),
    ErrorReason.ERROR_REASON_UPSTREAM_PRECONDITION: _unavailable(Retry.TOLD),
    ErrorReason.ERROR_REASON_UPSTREAM_NOT_FOUND: Row(404, _BAD, "not_found"),
    ErrorReason.ERROR_REASON_UPSTREAM_ALREADY_EXISTS: Row(409, "conflict_error", "already_exists"),
    ErrorReason.ERROR_REASON_HOST_UNAVAILABLE: _unavailable(Retry.ALWAYS),
    ErrorReason.ERROR_REASON_UPSTREAM_LOST: _unavailable(Retry.TOLD),
    # It may run there: whoever sends it again may run it twice.
    ErrorReason.ERROR_REASON_ACCEPTANCE_UNKNOWN: _unavailable(Retry.NEVER),
    ErrorReason.ERROR_REASON_VM_FAILED: _unavailable(Retry.ALWAYS),
    ErrorReason.ERROR_REASON_AGENT_ERROR: Row(502, _SERVER, "agent_error"),
    ErrorReason.ERROR_REASON_REPLAY_DIVERGED: Row(502, _SERVER, "replay_diverged"),
    ErrorReason.ERROR_REASON_CONNECT_TIMEOUT: _unavailable(Retry.ALWAYS, _AWAY),
    ErrorReason.ERROR_REASON_BOOT_TIMEOUT: _unavailable(Retry.ALWAYS),
    ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT: Row(504, _SERVER, "timeout"),
    ErrorReason.ERROR_REASON_IDLE_TIMEOUT: Row(504, _SERVER, "timeout"),
    ErrorReason.ERROR_REASON_TIME_LIMIT: Row(504, _SERVER, "timeout"),
    ErrorReason.ERROR_REASON_CANCELLED: Row(409, "conflict_error", "cancelled"),
    ErrorReason.ERROR_REASON_SLOW_CONSUMER: Row(503, _SERVER, "slow_consumer"),
    ErrorReason.ERROR_REASON_SHUTTING_DOWN: _unavailable(Retry.ALWAYS),
    ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE: _unavailable(
        Retry.ALWAYS, "The gateway's server cannot be reached."
    ),
    ErrorReason.ERROR_REASON_STORE_UNAVAILABLE: _unavailable(Retry.ALWAYS),
}
