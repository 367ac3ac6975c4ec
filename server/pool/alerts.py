"""What an operator should see to. PURE."""

from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.alert_pb2 import Alert, AlertLevel

from server.errors import reason_name
from server.pool import age
from server.pool.board import Board
from server.pool.pieces import PLATFORM_KEY

_CRITICAL, _WARNING = AlertLevel.ALERT_LEVEL_CRITICAL, AlertLevel.ALERT_LEVEL_WARNING
_FEW: Final = 0.7  # of the enabled accounts usable: below is a warning
_VERY_FEW: Final = 0.5  # below is critical


def alerts(board: Board, now: float, now_us: int, warn_us: int) -> list[Alert]:
    """Return what is wrong at a moment of the board's clock, and of the wall, the worst first."""
    found = _outage(board, now) + _few(board, now)
    for seat in board.seats.values():
        if age.ending(seat.member, now_us, warn_us):
            text = f"account {seat.id}: {age.told(seat.member, now_us)}"
            found.append(Alert(level=_WARNING, code="SESSION_ENDING", message=text, account_id=seat.id))
    return sorted(found, key=lambda alert: -alert.level)


def _outage(board: Board, now: float) -> list[Alert]:
    cooling = board.coolings.get(PLATFORM_KEY)
    expired = reason_name(ErrorReason.ERROR_REASON_SESSION_EXPIRED)
    if cooling is None or cooling.until <= now or cooling.cooldown.reason != expired:
        return []
    text = (
        "the platform takes no account's session: taken for an outage of its own; the sessions are kept and "
        "tried again. If they really ended all at once, import new cookies"
    )
    return [Alert(level=_CRITICAL, code="UPSTREAM_OUTAGE", message=text)]


def _few(board: Board, now: float) -> list[Alert]:
    enabled = [seat for seat in board.seats.values() if seat.member.enabled]
    usable = sum(seat.usable and board.cooled_until(seat.id) <= now for seat in enabled)
    if not enabled or usable / len(enabled) >= _FEW:
        return []
    level = _CRITICAL if usable / len(enabled) < _VERY_FEW else _WARNING
    text = f"{usable} of {len(enabled)} enabled accounts are usable: ListAccounts says what ails the others"
    return [Alert(level=level, code="USABLE_ACCOUNTS_LOW", message=text)]
