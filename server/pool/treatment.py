"""What a failure on an account means for the account: one table. PURE.

Source of the rows: upstream-protocol §1.4, field-notes §6. A reason that is not listed is not the account's
fault, nor the platform's.
"""

import math
from dataclasses import dataclass
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState

_E = ErrorReason

COOLDOWN_CAP: Final = 900.0  # seconds: a wrong hint must not lock an account for longer
THROTTLE_CAP: Final = 60.0  # seconds: a short "slow down" must not look like a quota that is spent
SLOT_CLOSED: Final = 60.0  # seconds in which a slot that the platform did not grant is not tried again
LOGIN_TRIES: Final = 3  # 10606 also hides a broken database: one is no proof of a wrong password


@dataclass(frozen=True, slots=True)
class Demote:
    """The session is no good: the account takes `state`. `relogin` says that its password may mend it."""

    state: AccountState
    relogin: bool = False


@dataclass(frozen=True, slots=True)
class Cool:
    """No turn is granted in `scope` for `seconds`; `asked` says that the platform named the time.

    Where it did not, each further failure in a row doubles it, up to `longest`.
    """

    scope: CooldownScope
    seconds: float
    longest: float
    asked: bool = False

    def after(self, strikes: int) -> float:
        """Return the seconds of a cooldown that so many came before in a row."""
        return self.seconds if self.asked else min(self.seconds * 2.0 ** min(strikes, 16), self.longest)


@dataclass(frozen=True, slots=True)
class CloseSlot:
    """The account has fewer slots than we thought: where no idle task of ours can be stopped, one closes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Trip:
    """The platform itself is not well: the breaker counts it (server/pool/breaker.py)."""


Treatment = Demote | Cool | CloseSlot | Trip

_TABLE: Final[dict[ErrorReason, Treatment]] = {
    _E.ERROR_REASON_SESSION_EXPIRED: Demote(AccountState.ACCOUNT_STATE_EXPIRED, relogin=True),
    _E.ERROR_REASON_LOGIN_FAILED: Demote(AccountState.ACCOUNT_STATE_EXPIRED),
    _E.ERROR_REASON_CAPTCHA_REQUIRED: Demote(AccountState.ACCOUNT_STATE_EXPIRED),
    _E.ERROR_REASON_ACCOUNT_BLOCKED: Demote(AccountState.ACCOUNT_STATE_INVALID),
    _E.ERROR_REASON_TEAM_SESSION: Demote(AccountState.ACCOUNT_STATE_INVALID),
    _E.ERROR_REASON_CONCURRENCY_LIMIT: CloseSlot(SLOT_CLOSED),
    _E.ERROR_REASON_QUOTA_EXHAUSTED: Cool(CooldownScope.COOLDOWN_SCOPE_ACCOUNT, COOLDOWN_CAP, COOLDOWN_CAP),
    _E.ERROR_REASON_RATE_LIMITED: Cool(CooldownScope.COOLDOWN_SCOPE_ACCOUNT, 5.0, THROTTLE_CAP),
    _E.ERROR_REASON_MODEL_ACCESS_DENIED: Cool(
        CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL, COOLDOWN_CAP, COOLDOWN_CAP
    ),
    # No host is nobody's fault and usually over soon; the pool only stops asking for a moment.
    _E.ERROR_REASON_HOST_UNAVAILABLE: Cool(CooldownScope.COOLDOWN_SCOPE_UPSTREAM, 5.0, 60.0),
    # Code 500 (UPSTREAM_ERROR) is not here: the platform also says it of a request that is wrong (§1.3), and
    # who sends such ones must not cool the pool.
    _E.ERROR_REASON_UPSTREAM_UNAVAILABLE: Trip(),
    _E.ERROR_REASON_CONNECT_TIMEOUT: Trip(),
    _E.ERROR_REASON_ACCEPTANCE_UNKNOWN: Trip(),
}


def treatment(
    reason: ErrorReason,
    retry_after: float | None = None,
    upstream_model_id: str = "",
    failed_logins: int = 0,
) -> Treatment | None:
    """Return what becomes of an account on which `reason` was met; None means nothing.

    `retry_after` (seconds) takes the place of a cooldown's length, where it makes sense, up to `longest`.
    `failed_logins` are those before this one.
    """
    match _TABLE.get(reason):
        case Demote() if reason == _E.ERROR_REASON_LOGIN_FAILED and failed_logins + 1 >= LOGIN_TRIES:
            return Demote(AccountState.ACCOUNT_STATE_INVALID)
        case Cool(scope=CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL) if not upstream_model_id:
            return None
        case Cool(scope, first, longest):
            if retry_after is None or not math.isfinite(retry_after) or retry_after <= 0:
                return Cool(scope, first, longest)
            return Cool(scope, min(retry_after, longest), longest, asked=True)
        case other:
            return other
