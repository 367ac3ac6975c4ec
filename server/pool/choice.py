"""Which account a caller gets, which idle task makes room for it, and who need not wait at all. PURE."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError
from server.pool.account import AccountId
from server.pool.board import Board
from server.pool.pieces import ActiveTask, Seat

_E = ErrorReason

RETRY_SECONDS: Final = 5.0
"""What a caller is told to wait when nobody can know when a slot comes free."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a caller would take.

    `account_id` and `among` restrict the accounts, `avoid` takes some away that were tried already.
    `upstream_model_id` minds the cooldowns of that model. A shared want needs no slot and minds no cooldown:
    these forbid turns, not calls.
    """

    exclusive: bool
    account_id: AccountId | None = None
    among: frozenset[AccountId] | None = None
    avoid: frozenset[AccountId] = frozenset()
    upstream_model_id: str = ""

    def names(self, account_id: AccountId) -> bool:
        """The account is one of those asked for, tried or not."""
        return (self.account_id is None or self.account_id == account_id) and (
            self.among is None or account_id in self.among
        )

    def takes(self, account_id: AccountId) -> bool:
        """The account would do."""
        return account_id not in self.avoid and self.names(account_id)


def open_seats(board: Board, now: float) -> Iterator[Seat]:
    """Yield the accounts that have a free slot and are not cooling, in the order of their registration."""
    return (
        seat
        for seat in board.seats.values()
        if seat.usable and seat.free(now) > 0 and board.opens(seat.id) <= now
    )


def choose(board: Board, want: Want, free: Iterable[Seat], now: float) -> Seat | None:
    """Return the account of `free` (see open_seats) whose share of free slots is greatest; of equals, the one
    that was granted longest ago.
    """
    fit = (
        seat for seat in free if want.takes(seat.id) and board.opens(seat.id, want.upstream_model_id) <= now
    )
    return min(fit, key=lambda seat: (-seat.free(now) / seat.slots, seat.turn), default=None)


def choose_shared(board: Board, want: Want, now: float) -> Seat | None:
    """Return the account that was granted longest ago, rather one that has worked and is not cooling."""
    fit = (seat for seat in board.seats.values() if seat.usable and want.takes(seat.id))
    untried = AccountState.ACCOUNT_STATE_CREATED
    return min(
        fit,
        key=lambda seat: (seat.member.state == untried, board.cooled_until(seat.id) > now, seat.turn),
        default=None,
    )


def sleepers(board: Board, wants: Iterable[Want], now: float) -> Iterator[Seat]:
    """Yield the accounts that a login, which may be tried now, would make usable for one of `wants`."""
    asleep = [
        seat
        for seat in board.seats.values()
        if seat.asleep and not seat.logging_in and seat.login_after <= now
    ]
    if not asleep:
        return
    wanted = list(wants)
    yield from (seat for seat in asleep if any(want.takes(seat.id) for want in wanted))


def evictions(board: Board, wants: Iterable[Want], now: float) -> list[ActiveTask]:
    """Return the idle tasks to stop so that each of `wants`, first come first, has a slot to come.

    A task that is being stopped already counts for the first caller that its slot would do for; the others
    are taken in the order in which they became idle, each for one caller.
    """
    idle = [
        active
        for active in chain(board.stopping.values(), board.idle(now))
        if board.seats[active.account_id].usable and board.opens(active.account_id) <= now
    ]
    chosen: list[ActiveTask] = []
    for want in wants:
        if not idle:
            break
        for index, active in enumerate(idle):
            if want.takes(active.account_id) and (
                board.opens(active.account_id, want.upstream_model_id) <= now
            ):
                chosen.append(idle.pop(index))
                break
    return [active for active in chosen if not active.evicting]


def surplus(board: Board, spare: Callable[[int], int], now: float) -> list[ActiveTask]:
    """Return the idle tasks to stop, the one used longest ago first, so that `spare` of all slots are free.

    Slots that nobody can be granted now do not count, nor do their tasks.
    """
    open_now = {seat.id: seat for seat in board.seats.values() if seat.usable and board.opens(seat.id) <= now}
    short = spare(sum(seat.slots for seat in open_now.values()))
    short -= sum(max(0, seat.free(now)) for seat in open_now.values())
    short -= sum(active.account_id in open_now for active in board.stopping.values())
    idle = (active for active in board.idle(now) if active.account_id in open_now)
    return list(islice(idle, max(short, 0)))


def refusal(board: Board, want: Want, now: float, deadline: float) -> ServiceError | None:
    """Return why waiting until `deadline` is in vain, or None where it is not."""
    could, soonest = list[Seat](), math.inf
    for seat in board.seats.values():
        if (seat.usable or seat.asleep) and want.names(seat.id):
            could.append(seat)
            if seat.id not in want.avoid:
                soonest = min(soonest, _ready(board, seat, want, now))
                if soonest <= now:
                    return None
    if not could:
        return _no_account(board, want)
    if soonest == math.inf:
        soonest = min(_ready(board, seat, want, now) for seat in could)
        return ServiceError(
            _E.ERROR_REASON_POOL_EXHAUSTED,
            "every account that would do was tried",
            soonest - now if soonest > now else None,
        )
    if soonest > max(now, deadline):
        seconds = soonest - now
        return ServiceError(
            _E.ERROR_REASON_POOL_EXHAUSTED,
            "every account that would do is cooling, full or was just refused a login; "
            f"the soonest can be had in {math.ceil(seconds)} s",
            seconds,
        )
    return None


def exhausted(board: Board, want: Want, now: float, waited: float) -> ServiceError:
    """Return what a caller is told whose time ran out."""
    left = (seat for seat in board.seats.values() if (seat.usable or seat.asleep) and want.takes(seat.id))
    seconds = min((_ready(board, seat, want, now) for seat in left), default=0)
    return ServiceError(
        _E.ERROR_REASON_POOL_EXHAUSTED,
        f"no slot came free in {waited:g} s: every account is at its limit of active tasks",
        seconds - now if seconds > now else RETRY_SECONDS,
    )


def _ready(board: Board, seat: Seat, want: Want, now: float) -> float:
    """Return the moment from which nothing but slots in use keeps the account from being granted."""
    if seat.asleep:
        return 0.0 if seat.logging_in else seat.login_after
    if not want.exclusive:
        return 0.0
    opens = 0.0
    if not seat.used and seat.free(now) <= 0:  # nothing but time opens one
        opens = min((opens for opens in seat.closed if opens > now), default=0.0)
    opens = max(opens, board.worth_waiting(seat.id, want.upstream_model_id))
    if opens > now and board.making_room(seat):
        return 0.0
    return opens


def _no_account(board: Board, want: Want) -> ServiceError:
    if want.account_id is not None:
        text = "the account is not registered, is disabled, or has no session that the platform takes"
    elif not board.seats:
        text = (
            "no account is registered: set HOWLER_UPSTREAM_COOKIE or HOWLER_ACCOUNTS_FILE, "
            "or call PoolService.ImportAccount"
        )
    elif want.among is not None:
        text = "no usable account has this model"
    else:
        text = (
            f"none of the {len(board.seats)} registered accounts is usable: renew them by "
            "HOWLER_UPSTREAM_COOKIE, HOWLER_ACCOUNTS_FILE or PoolService.ImportAccount"
        )
    return ServiceError(_E.ERROR_REASON_NO_ACCOUNT, text)
