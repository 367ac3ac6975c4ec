"""An account with all that only the pool may know of it. PURE."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final, NewType, Self

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError
from server.pool.fence import Fence

AccountId = NewType("AccountId", str)
LeaseId = NewType("LeaseId", str)
TaskId = NewType("TaskId", str)

_E = ErrorReason
_S = AccountState

USER_COOKIE: Final = "monkeycode_ai_session"
TEAM_COOKIE: Final = "monkeycode_ai_team_session"
_LIVE: Final = frozenset({_S.ACCOUNT_STATE_CREATED, _S.ACCOUNT_STATE_ACTIVE})
_COOKIE_BYTES: Final = 4096
_COOKIE_EXCLUDED: Final = frozenset('",;\\')  # RFC 6265 §4.1.1, cookie-octet


@dataclass(frozen=True, slots=True)
class Session:
    """What a call to the platform needs to be made as an account.

    `fence`, where there is one, is checked right before every write: what is lost sends nothing.
    """

    account_id: AccountId
    cookie: str = field(repr=False)
    fence: Fence | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an operator gives: a cookie, or an e-mail with a password, or both.

    `slots` is how many active tasks the account may have; 0 means the default.
    """

    email: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)
    slots: int = 0

    def checked(self) -> Self:
        """Return them with the cookie's bare value.

        Raises ServiceError INVALID_REQUEST when they cannot be credentials, TEAM_SESSION for
        a team administrator's cookie.
        """
        cookie = parse_cookie(self.cookie)
        if not cookie and not (self.email and self.password):
            raise ServiceError(
                _E.ERROR_REASON_INVALID_REQUEST, "an account needs a cookie, or an e-mail with a password"
            )
        if self.password and not self.email:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, "a password needs its e-mail")
        if self.slots < 0:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, "slots must not be negative")
        return replace(self, email=self.email.strip(), cookie=cookie)


@dataclass(frozen=True, slots=True)
class Member:
    """An account of the pool, as it is recorded.

    `offer` is the digest of the cookie that an operator gave last. It tells a new cookie in the
    accounts file from the old one that a login of ours has replaced since. `slots` 0 means the
    default. Times are microseconds since 1970; `last_used_us` is 0 before the first grant.
    `session_us` is when the session began: `session_dated` says that a login of ours began it then, else
    it is when the cookie was given to us, and the session is that old at least. `version` counts the writes
    of the record; the ledger's alone to change.
    """

    account_id: AccountId
    email: str = field(default="", repr=False)
    user_id: str = ""
    name: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    offer: str = field(default="", repr=False)
    state: AccountState = _S.ACCOUNT_STATE_CREATED
    reason: ErrorReason = _E.ERROR_REASON_UNSPECIFIED
    enabled: bool = True
    slots: int = 0
    failed_logins: int = 0
    session_us: int = 0
    session_dated: bool = False
    create_us: int = 0
    last_used_us: int = 0
    version: int = 0

    @property
    def has_session(self) -> bool:
        """The platform may take its cookie."""
        return bool(self.cookie) and self.state in _LIVE

    @property
    def can_log_in(self) -> bool:
        """A login with its password is worth a try.

        Not where the server asks for a captcha: a person must solve it (upstream-protocol §2.3).
        """
        return (
            bool(self.email and self.password)
            and self.state != _S.ACCOUNT_STATE_INVALID
            and self.reason != _E.ERROR_REASON_CAPTCHA_REQUIRED
        )

    def renewed(self, given: Credentials, now_us: int = 0) -> "Member":
        """Return it with what an operator gives now; a cookie given before changes nothing."""
        member = replace(
            self,
            email=given.email or self.email,
            password=given.password or self.password,
            slots=given.slots or self.slots,
        )
        if given.cookie and digest(given.cookie) != self.offer:
            member = replace(
                member,
                cookie=given.cookie,
                offer=digest(given.cookie),
                state=_S.ACCOUNT_STATE_CREATED,
                reason=_E.ERROR_REASON_UNSPECIFIED,
                failed_logins=0,
                session_us=now_us,
                session_dated=False,
            )
        elif member.password != self.password and self.state == _S.ACCOUNT_STATE_INVALID:
            member = replace(member, state=_S.ACCOUNT_STATE_EXPIRED, failed_logins=0)
        return member

    def active(self, cookie: str) -> "Member":
        """Return it with a session that the platform takes."""
        return replace(
            self,
            cookie=cookie,
            state=_S.ACCOUNT_STATE_ACTIVE,
            reason=_E.ERROR_REASON_UNSPECIFIED,
            failed_logins=0,
        )


def digest(cookie: str) -> str:
    """Return what is kept of a cookie to know it again (a cookie is a random UUID: nobody can guess back)."""
    return hashlib.sha256(cookie.encode()).hexdigest() if cookie else ""


def parse_cookie(text: str) -> str:
    """Return the value of a user's session cookie, given alone or as `name=value`.

    Raises ServiceError TEAM_SESSION for a team administrator's cookie, which cannot run tasks
    (upstream-protocol §2.1), INVALID_REQUEST for what cannot be a cookie's value.
    """
    value = text.strip().removesuffix(";").strip()
    name, separator, rest = value.partition("=")
    if separator and name.strip() == TEAM_COOKIE:
        raise ServiceError(
            _E.ERROR_REASON_TEAM_SESSION,
            f"{TEAM_COOKIE} is a team administrator's session and cannot run tasks; "
            f"give a user's {USER_COOKIE}",
        )
    if separator and name.strip() == USER_COOKIE:
        value = rest.strip()
    if len(value) > _COOKIE_BYTES or any(
        not "!" <= char <= "~" or char in _COOKIE_EXCLUDED for char in value
    ):
        raise ServiceError(
            _E.ERROR_REASON_INVALID_REQUEST, f"cookie: not the value of one {USER_COOKIE} cookie"
        )
    return value


def masked(email: str) -> str:
    """Return an e-mail as listings show it: `a•••@example.com`."""
    local, at, domain = email.rpartition("@")
    return f"{local[:1]}•••{at}{domain}" if at else ("•••" if email else "")
