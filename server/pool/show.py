"""The pool's state as callers see it: without credentials, the e-mail masked. PURE."""

from collections import Counter

from google.protobuf.timestamp_pb2 import Timestamp
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import Account, GetPoolResponse, StateCount

from server.errors import reason_name
from server.pool import age
from server.pool.account import AccountId, masked
from server.pool.alerts import alerts
from server.pool.board import Board
from server.pool.pieces import PLATFORM, Seat


def timestamp(microseconds: int) -> Timestamp:
    """Return a moment given in microseconds since 1970."""
    moment = Timestamp()
    moment.FromMicroseconds(microseconds)
    return moment


def account(board: Board, seat: Seat) -> Account:
    """Return an account; the cooldowns of the whole platform are its own too."""
    member = seat.member
    shown = Account(
        account_id=member.account_id,
        email=masked(member.email),
        user_id=member.user_id,
        name=member.name,
        state=member.state,
        enabled=member.enabled,
        slots=seat.slots,
        slots_used=seat.used,
        slots_closed=len(seat.closed),
        cooldowns=_cooldowns(board, member.account_id),
        has_password=bool(member.password),
        create_time=timestamp(member.create_us),
    )
    if seat.used_us:
        shown.last_used_time.FromMicroseconds(seat.used_us)
    if member.reason != ErrorReason.ERROR_REASON_UNSPECIFIED:
        shown.state_reason = reason_name(member.reason)
    if end := age.end_us(member):
        shown.session_expire_time.FromMicroseconds(end)
        shown.session_age_unknown = not member.session_dated
    return shown


def _cooldowns(board: Board, account_id: AccountId) -> list[Cooldown]:
    shown = []
    for key, cooling in board.coolings.items():
        if cooling.account_id in (account_id, PLATFORM):
            cooldown = Cooldown()
            cooldown.CopyFrom(cooling.cooldown)
            cooldown.probing = board.probes.running(key)
            shown.append(cooldown)
    return shown


def counts(board: Board, waiting: int, now: float, now_us: int, warn_us: int) -> GetPoolResponse:
    """Return the pool's counts at a moment of the board's clock, and of the wall.

    Of sessions that end within `warn_us` an operator is warned.
    """
    seats = list(board.seats.values())
    cooling = {seat.id for seat in seats if board.cooled_until(seat.id) > now}
    usable = [seat for seat in seats if seat.usable and seat.id not in cooling]
    slots = sum(seat.slots for seat in usable)
    states = Counter(seat.member.state for seat in seats)
    return GetPoolResponse(
        accounts=len(seats),
        usable=len(usable),
        states=[StateCount(state=state, count=count) for state, count in sorted(states.items())],
        cooling=len(cooling),
        disabled=sum(not seat.member.enabled for seat in seats),
        slots=slots,
        slots_used=sum(seat.used for seat in seats),
        waiting=waiting,
        utilization=min(1.0, sum(seat.used for seat in usable) / slots) if slots else 0.0,
        alerts=alerts(board, now, now_us, warn_us),
        sessions_ending=sum(age.ending(seat.member, now_us, warn_us) for seat in seats),
    )
