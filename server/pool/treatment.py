"""What a failure on an account means for the account: one table. PURE.

Source of the rows: upstream-protocol §1.4. A reason that is not listed is not the account's fault.
"""

import math
from dataclasses import dataclass
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, CooldownScope

_E = ErrorReason

COOLDOWN_CAP: Final = 900.0  # seconds: a wrong hint must not lock an account for longer
LOGIN_TRIES: Final = 3  # 10606 also hides a broken database: one is no proof of a wrong password


@dataclass(frozen=True, slots=True)
class Demote:
    """The session is no good: the account takes `state`. `relogin` says that its password may mend it."""

    state: AccountState
    relogin: bool = False


@dataclass(frozen=True, slots=True)
class Cool:
    """Nothing is granted in `scope` for `seconds`, or for as long as the platform asks."""

    scope: CooldownScope
    seconds: float


Treatment = Demote | Cool

_TABLE: Final[dict[ErrorReason, Treatment]] = {
    _E.ERROR_REASON_SESSION_EXPIRED: Demote(AccountState.ACCOUNT_STATE_EXPIRED, relogin=True),
    _E.ERROR_REASON_LOGIN_FAILED: Demote(AccountState.ACCOUNT_STATE_EXPIRED),
    _E.ERROR_REASON_CAPTCHA_REQUIRED: Demote(AccountState.ACCOUNT_STATE_EXPIRED),
    _E.ERROR_REASON_ACCOUNT_BLOCKED: Demote(AccountState.ACCOUNT_STATE_INVALID),
    _E.ERROR_REASON_TEAM_SESSION: Demote(AccountState.ACCOUNT_STATE_INVALID),
    _E.ERROR_REASON_QUOTA_EXHAUSTED: Cool(CooldownScope.COOLDOWN_SCOPE_ACCOUNT, COOLDOWN_CAP),
    _E.ERROR_REASON_CONCURRENCY_LIMIT: Cool(CooldownScope.COOLDOWN_SCOPE_ACCOUNT, 30.0),
    _E.ERROR_REASON_MODEL_ACCESS_DENIED: Cool(CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL, COOLDOWN_CAP),
    # No host is nobody's fault and usually over soon; the pool only stops asking for a moment.
    _E.ERROR_REASON_HOST_UNAVAILABLE: Cool(CooldownScope.COOLDOWN_SCOPE_UPSTREAM, 5.0),
}


def treatment(
    reason: ErrorReason,
    retry_after: float | None = None,
    upstream_model_id: str = "",
    failed_logins: int = 0,
) -> Treatment | None:
    """Return what becomes of an account on which `reason` was met; None means nothing.

    `retry_after` (seconds) takes the place of a cooldown's length, where it makes sense, up to
    COOLDOWN_CAP. `failed_logins` are those before this one.
    """
    match _TABLE.get(reason):
        case Demote() if reason == _E.ERROR_REASON_LOGIN_FAILED and failed_logins + 1 >= LOGIN_TRIES:
            return Demote(AccountState.ACCOUNT_STATE_INVALID)
        case Cool(scope=CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL) if not upstream_model_id:
            return None
        case Cool(scope, seconds):
            hint = retry_after if retry_after is not None and math.isfinite(retry_after) else 0.0
            return Cool(scope, min(hint if hint > 0 else seconds, COOLDOWN_CAP))
        case other:
            return other
