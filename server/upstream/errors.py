"""What the platform's refusals mean: one table, body code -> reason (upstream-protocol §1.3, §1.4).

The rows of 40002 to 50000 are spoken by older backends only (§10).
"""

from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError

_E = ErrorReason
_BLOCKED = _E.ERROR_REASON_ACCOUNT_BLOCKED
_BUSY = _E.ERROR_REASON_CONCURRENCY_LIMIT
_ERROR = _E.ERROR_REASON_UPSTREAM_ERROR
_EXISTS = _E.ERROR_REASON_UPSTREAM_ALREADY_EXISTS
_EXPIRED = _E.ERROR_REASON_SESSION_EXPIRED
_FORBIDDEN = _E.ERROR_REASON_UPSTREAM_FORBIDDEN
_HOST = _E.ERROR_REASON_HOST_UNAVAILABLE
_NOT_FOUND = _E.ERROR_REASON_UPSTREAM_NOT_FOUND
_PRECONDITION = _E.ERROR_REASON_UPSTREAM_PRECONDITION
_PROTOCOL = _E.ERROR_REASON_UPSTREAM_PROTOCOL
_QUOTA = _E.ERROR_REASON_QUOTA_EXHAUSTED
_REJECTED = _E.ERROR_REASON_UPSTREAM_REJECTED
_THROTTLED = _E.ERROR_REASON_RATE_LIMITED
_UNAVAILABLE = _E.ERROR_REASON_UPSTREAM_UNAVAILABLE


class Refusal(ServiceError):
    """The platform answered, and the answer is no. `code` is the body's code, else the HTTP status."""

    def __init__(
        self, reason: ErrorReason, message: str, code: int, retry_after: float | None = None
    ) -> None:
        super().__init__(reason, message, retry_after)
        self.code = code


class Undecided(ServiceError):
    """A failure that leaves open whether the platform did what it was asked to.

    Its answer was lost, did not come in time, is none of the platform's, or is not one that it can give.
    """


CODES: Final[dict[int, ErrorReason]] = {
    400: _REJECTED,
    401: _EXPIRED,
    403: _FORBIDDEN,
    404: _NOT_FOUND,
    405: _NOT_FOUND,
    500: _ERROR,
    10000: _UNAVAILABLE,
    10001: _FORBIDDEN,
    10002: _NOT_FOUND,
    10003: _EXISTS,
    **dict.fromkeys((10004, 10005, 10006), _UNAVAILABLE),
    10007: _REJECTED,
    10008: _UNAVAILABLE,
    10100: _FORBIDDEN,
    10101: _ERROR,
    10102: _REJECTED,
    10200: _REJECTED,
    10201: _FORBIDDEN,
    10202: _FORBIDDEN,
    10203: _REJECTED,
    10204: _HOST,
    10205: _HOST,
    10206: _PRECONDITION,
    10207: _UNAVAILABLE,
    10208: _UNAVAILABLE,
    10209: _PRECONDITION,
    10230: _BUSY,
    10231: _E.ERROR_REASON_TASK_ENDED,
    10232: _REJECTED,
    10300: _REJECTED,
    10301: _REJECTED,
    10302: _E.ERROR_REASON_MODEL_NOT_FOUND,
    10303: _E.ERROR_REASON_IMAGE_NOT_FOUND,
    **dict.fromkeys(range(10400, 10410), _PRECONDITION),
    **dict.fromkeys((10400, 10401, 10402, 10408), _REJECTED),
    # A team's limits of members: no account is spent or busy, so neither word of the pool fits.
    10500: _PRECONDITION,
    10507: _PRECONDITION,
    10501: _REJECTED,
    10502: _UNAVAILABLE,
    10503: _EXISTS,
    10508: _EXISTS,
    **dict.fromkeys((10504, 10505, 10506), _REJECTED),
    10601: _PRECONDITION,
    10602: _PRECONDITION,
    10603: _EXPIRED,
    10605: _BLOCKED,
    10606: _E.ERROR_REASON_LOGIN_FAILED,
    10607: _REJECTED,
    10608: _REJECTED,
    10609: _QUOTA,
    10610: _QUOTA,
    **dict.fromkeys(range(10611, 10617), _REJECTED),
    **dict.fromkeys(range(10617, 10633), _PRECONDITION),
    **dict.fromkeys(range(10700, 10703), _UNAVAILABLE),
    10801: _ERROR,
    10810: _PRECONDITION,
    10811: _BUSY,
    10812: _E.ERROR_REASON_MODEL_ACCESS_DENIED,
    10813: _REJECTED,
    **dict.fromkeys(range(10900, 10907), _REJECTED),
    11200: _PRECONDITION,
    **dict.fromkeys(range(11300, 11305), _UNAVAILABLE),
    40002: _E.ERROR_REASON_LOGIN_FAILED,
    40003: _BLOCKED,
    40004: _BLOCKED,
    40100: _EXPIRED,
    40300: _FORBIDDEN,
    50000: _UNAVAILABLE,
}

_RANGES: Final[tuple[tuple[int, int, ErrorReason], ...]] = (
    # From, up to but without, the reason of codes in between that CODES does not name.
    (300, 400, _PROTOCOL),  # redirects are off: the address is another one
    (408, 409, _UNAVAILABLE),
    (409, 410, _EXISTS),
    (413, 414, _E.ERROR_REASON_PROMPT_TOO_LARGE),  # the proxy's limit of 10 MB (§1.1)
    (425, 426, _UNAVAILABLE),
    (429, 430, _THROTTLED),
    (400, 500, _REJECTED),
    (502, 505, _UNAVAILABLE),
    (520, 531, _UNAVAILABLE),  # a content network's words for 502 to 504
    (500, 600, _ERROR),
    (10100, 10200, _REJECTED),
    (10200, 10300, _PRECONDITION),
    (10300, 10400, _REJECTED),
    (10400, 10700, _PRECONDITION),
    (10700, 10800, _UNAVAILABLE),
    (10800, 10900, _PRECONDITION),
    (10900, 11000, _REJECTED),
    (11200, 11300, _PRECONDITION),
    (11300, 11400, _UNAVAILABLE),
    (40000, 40100, _REJECTED),
    (40100, 40200, _EXPIRED),
    (40300, 40400, _FORBIDDEN),
    (50000, 51000, _UNAVAILABLE),
)


def reason_of(code: int) -> ErrorReason:
    """Return what a body code or an HTTP status means; UPSTREAM_ERROR where nothing is known of it."""
    reason = CODES.get(code)
    if reason is not None:
        return reason
    return next((reason for low, high, reason in _RANGES if low <= code < high), _ERROR)


_WORDS: Final[dict[ErrorReason, str]] = {
    _BLOCKED: "the platform blocked this account",
    _BUSY: "the account has as many active tasks as the platform lets it have",
    _ERROR: "the platform failed and does not say why",
    _EXISTS: "the platform has this already",
    _EXPIRED: "the platform does not take the account's session",
    _FORBIDDEN: "the platform does not let the account do this",
    _HOST: "no host of the platform can run the task now",
    _NOT_FOUND: "the platform has no such thing",
    _PRECONDITION: "the platform is not in the state that this needs",
    _PROTOCOL: "the platform answered what its protocol does not allow",
    _QUOTA: "the account has no balance left",
    _REJECTED: "the platform calls the request bad",
    _THROTTLED: "the platform asks the account to slow down",
    _UNAVAILABLE: "the platform is not well",
    _E.ERROR_REASON_IMAGE_NOT_FOUND: "the platform does not have the image that the task should start from",
    _E.ERROR_REASON_LOGIN_FAILED: "the platform refused the account's e-mail and password",
    _E.ERROR_REASON_MODEL_ACCESS_DENIED: "the account may not use this model",
    _E.ERROR_REASON_MODEL_NOT_FOUND: "the platform no longer has this model",
    _E.ERROR_REASON_PROMPT_TOO_LARGE: "the request is larger than the platform takes",
    _E.ERROR_REASON_TASK_ENDED: "the platform has recycled the task's VM",
}


def words_for(reason: ErrorReason) -> str:
    """Return what a reason of the table means, for people."""
    return _WORDS[reason]


def of_task(refusal: Refusal) -> ServiceError:
    """Read the platform's word for a task that is unknown or another account's: code 500, or 10002 (§1.4)."""
    if refusal.code not in (500, 10002):
        return refusal
    return ServiceError(
        _E.ERROR_REASON_TASK_NOT_FOUND, "the platform does not know the task as this account's"
    )
