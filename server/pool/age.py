"""How old sessions are, and what is due: the platform ends each 30 days after its login. PURE.

The end is fixed: no use of a session moves it (upstream-protocol §2.1).
"""

from typing import Final

from server.pool.account import Member

DAY_US: Final = 86_400 * 1_000_000
SESSION_US: Final = 30 * DAY_US
RENEW_BEFORE_US: Final = 3 * DAY_US
"""A login renews a session so long before its end: a few nights in which one can fail."""
_OVERDUE_US: Final = DAY_US  # a renewal that fails for so long is the operator's to know


def end_us(member: Member) -> int:
    """Return when a session is over (microseconds since 1970), at the latest; 0 where there is none."""
    return member.session_us + SESSION_US if member.has_session and member.session_us else 0


def renewal_due(member: Member, now_us: int) -> bool:
    """Tell whether a login should renew the session now, while it still works."""
    end = end_us(member)
    return bool(end) and member.enabled and member.can_log_in and end - now_us <= RENEW_BEFORE_US


def told(member: Member, now_us: int) -> str:
    """Say for people when the session ends and what mends it."""
    days = max(0, end_us(member) - now_us) / DAY_US
    bound = "" if member.session_dated else " at the latest (its age is not known, only when it was given)"
    if member.password:
        mend = "logging in again has failed: see to its password, or import a new cookie"
    else:
        mend = "no password is stored to renew it: import a new cookie"
    return f"its session ends in {days:.1f} days{bound}; {mend}"


def ending(member: Member, now_us: int, warn_us: int) -> bool:
    """Tell whether an operator must renew the session: it ends within `warn_us`, and no login of ours helps.

    Where a password is stored that is so once the renewals fail for a day.
    """
    end = end_us(member)
    if not end or not member.enabled:
        return False
    if member.can_log_in:
        warn_us = min(warn_us, RENEW_BEFORE_US - _OVERDUE_US)
    return end - now_us <= warn_us
