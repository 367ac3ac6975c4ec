"""What an account pays for, and what it has left (upstream-protocol §3.5). Not every platform tells."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.pool.account import Session
from server.upstream.errors import Refusal
from server.upstream.http import Call, Http
from server.upstream.shapes import flag, number, object_in, text

_DISPLAYED: Final = 1000  # the platform counts thousandths of what it displays


@dataclass(frozen=True, slots=True)
class Subscription:
    """`plan` is the platform's word in lower case: basic, pro, ultra, flagship. `expires` may be unsaid."""

    plan: str
    expires: datetime | None = None
    auto_renew: bool = False


@dataclass(frozen=True, slots=True)
class Wallet:
    """What is left: `balance` as the platform displays it, and tokens of the day where it has a limit."""

    balance: float
    daily_tokens: int = 0
    daily_limit: int = 0


async def subscription_of(http: Http, session: Session) -> Subscription | None:
    """Return the account's plan, None where the platform knows of no plans."""
    data = await _told(http, Call("GET", "/users/subscription", session.cookie))
    if data is None:
        return None
    told = object_in(data, "subscription")
    return Subscription(text(told, "plan").lower(), _moment(told.get("expires_at")), flag(told, "auto_renew"))


async def wallet_of(http: Http, session: Session) -> Wallet | None:
    """Return what the account has left, None where the platform keeps no count: a self-hosted one."""
    data = await _told(http, Call("GET", "/users/wallet", session.cookie))
    if data is None:
        return None
    told = object_in(data, "wallet")
    return Wallet(
        number(told, "balance") / _DISPLAYED,
        number(told, "daily_token_balance"),
        number(told, "daily_token_limit"),
    )


async def _told(http: Http, call: Call) -> Any:
    try:
        return await http.repeatable(call)
    except Refusal as refusal:
        if refusal.reason == ErrorReason.ERROR_REASON_UPSTREAM_NOT_FOUND:
            return None
        raise


def _moment(told: Any) -> datetime | None:
    """Read a time: RFC 3339, or seconds since 1970."""
    try:
        if isinstance(told, str):
            read = datetime.fromisoformat(told)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
        if isinstance(told, int) and told > 0:
            return datetime.fromtimestamp(told, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
