"""The callers that wait for a lease, by priority, then by their coming, each until its deadline.

Nothing is polled. The time is CLOCK_MONOTONIC's, as everywhere in the pool: uvloop's own stands still within
a round of the loop, and what is over by the one would not be by the other.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease

from server.errors import ServiceError
from server.pool.account import AccountId
from server.pool.board import Board
from server.pool.choice import (
    Want,
    choose,
    choose_shared,
    evictions,
    exhausted,
    open_seats,
    refusal,
    sleepers,
)
from server.pool.pieces import ActiveTask, Held, Seat


class Place(NamedTuple):
    """A place in the line: the higher priority first, then the lower number."""

    minus_priority: int
    number: int


@dataclass(eq=False, slots=True)
class _Waiter:
    """A caller that waits. `lease` lacks only its account; `future` gets the reservation or the refusal."""

    place: Place
    want: Want
    lease: Lease
    future: asyncio.Future[Held]
    deadline: float


class Queue:
    """Waiters in the order of their places.

    A waiter that no free slot would do for does not hold up those behind it. What it hands out is a
    reservation on the board: the slot is taken, the ledger does not know of it yet.
    """

    def __init__(
        self,
        board: Board,
        *,
        log_in: Callable[[AccountId], object],
        evict: Callable[[Collection[ActiveTask]], object],
    ) -> None:
        self._board = board
        self._log_in = log_in
        self._evict = evict
        self._waiters: list[_Waiter] = []
        self._shared = 0  # how many of them want a shared lease
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def place(self, priority: int = 0) -> Place:
        """Return the place behind all others of this priority."""
        self._count += 1
        return Place(-priority, self._count)

    async def wait(self, want: Want, lease: Lease, seconds: float, place: Place | None = None) -> Held:
        """Wait for a reservation, at the place of an earlier wait where given. A cancelled caller keeps none.

        Raises NO_ACCOUNT and POOL_EXHAUSTED.
        """
        now = time.monotonic()
        # All others were tried when something changed last; nothing that is free would do for them.
        if held := self._reserve(want, lease, open_seats(self._board, now), now):
            return held
        deadline = now + max(0.0, seconds)
        if error := refusal(self._board, want, now, deadline):
            raise error
        if seconds <= 0:
            raise exhausted(self._board, want, now, 0.0)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(place or self.place(), want, lease, loop.create_future(), deadline)
        insort(self._waiters, waiter, key=_place)
        self._shared += not want.exclusive
        expiry = loop.call_at(deadline, self._expire, waiter, seconds)
        try:
            self._provoke(now)
            return await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if future.done() and not future.cancelled() and future.exception() is None:
                self._board.let_go(future.result().id)
                self.stir()
            raise
        finally:
            expiry.cancel()
            self._drop(waiter)

    def stir(self) -> None:
        """Serve the waiters: something came free, or a task became idle."""
        if self._waiters:
            now = time.monotonic()
            self._serve(now)
            self._provoke(now)

    def recheck(self) -> None:
        """Serve the waiters and refuse those that now wait in vain: an account or a cooldown changed."""
        self.stir()
        now = time.monotonic()
        for waiter in self._pending():
            if error := refusal(self._board, waiter.want, now, waiter.deadline):
                waiter.future.set_exception(error)

    def close(self) -> None:
        """Refuse all."""
        for waiter in self._pending():
            waiter.future.set_exception(
                ServiceError(ErrorReason.ERROR_REASON_SHUTTING_DOWN, "Howler is shutting down")
            )

    def _pending(self) -> list[_Waiter]:
        return [waiter for waiter in self._waiters if not waiter.future.done()]

    def _serve(self, now: float) -> None:
        """Reserve what is free for the waiters that it would do for."""
        free = {seat.id: seat for seat in open_seats(self._board, now)}
        served: list[_Waiter] = []
        for waiter in self._waiters:
            if not free and not self._shared:
                break
            if waiter.future.done():
                continue
            held = self._reserve(waiter.want, waiter.lease, free.values(), now)
            if held is None:
                continue
            waiter.future.set_result(held)
            served.append(waiter)
            if self._board.seats[held.account_id].free(now) <= 0:
                free.pop(held.account_id, None)
        for waiter in served:
            self._drop(waiter)

    def _reserve(self, want: Want, lease: Lease, free: Iterable[Seat], now: float) -> Held | None:
        """Put a lease on the board, on the account that is chosen for it; None where none would do."""
        if want.exclusive:
            seat = choose(self._board, want, free, now)
        else:
            seat = choose_shared(self._board, want, now)
        if seat is None:
            return None
        lease.account_id = seat.id
        held = Held(lease)
        self._board.hold(held)
        self._board.used_now(seat)
        if held.exclusive:
            self._board.let_through(held, want.upstream_model_id, now)
        return held

    def _drop(self, waiter: _Waiter) -> None:
        index = bisect_left(self._waiters, waiter.place, key=_place)
        if index < len(self._waiters) and self._waiters[index] is waiter:
            del self._waiters[index]
            self._shared -= not waiter.want.exclusive

    def _provoke(self, now: float) -> None:
        """Start what may help those who still wait: logins, and the end of idle tasks."""
        for seat in sleepers(self._board, (waiter.want for waiter in self._waiters), now):
            self._log_in(seat.id)
        turns = (waiter.want for waiter in self._waiters if waiter.want.exclusive)
        if chosen := evictions(self._board, turns, now):
            self._evict(chosen)

    def _expire(self, waiter: _Waiter, waited: float) -> None:
        if not waiter.future.done():
            now = time.monotonic()
            waiter.future.set_exception(exhausted(self._board, waiter.want, now, waited))


def _place(waiter: _Waiter) -> Place:
    return waiter.place
