"""Leases: granted, renewed, ended, lapsed."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode, PoolEvent

from server.errors import ServiceError
from server.pool.account import LeaseId, TaskId
from server.pool.board import Held
from server.pool.choice import Want
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.queue import Queue

_log = logging.getLogger(__name__)
_E = ErrorReason
_RETRY_PAUSE: Final = 1.0  # seconds before the end of a lease that the ledger refused is tried again


class Leases:
    """Who holds what.

    A grant is a reservation on the board first, then a record in the ledger; only then a caller
    hears of it. A caller that is cancelled in between leaves a lease that is ended at once.
    """

    def __init__(self, desk: Desk, queue: Queue, health: Health) -> None:
        self._desk = desk
        self._queue = queue
        self._health = health

    async def acquire(self, want: Want, lease: Lease, *, wait: float, ttl: float) -> Lease:
        """Wait for what is wanted and grant it; `lease` says for whom. See Pool.acquire."""
        deadline = self._desk.now() + wait
        while True:
            asked = copied(lease)
            asked.lease_id = self._desk.new_id("lease")
            held = await self._queue.wait(want, asked, deadline - self._desk.now())
            granted = await self._grant(held, ttl)
            if granted is not None:
                return granted
            # The account went away, or the ledger knows better than the board: try any other.
            want = replace(want, avoid=want.avoid | {held.account_id})

    async def acquire_task(self, task_id: TaskId, lease: Lease, *, wait: float, ttl: float) -> Lease:
        """Grant a lease on an idle task; the wait is for its account's login only. See Pool.acquire."""
        held = await self._reserve_task(task_id, copied(lease), self._desk.now() + wait)
        granted = await self._grant(held, ttl)
        if granted is None:
            raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended")
        return granted

    async def _reserve_task(self, task_id: TaskId, lease: Lease, deadline: float) -> Held:
        board = self._desk.board
        while True:
            active = board.tasks.get(task_id)
            if active is None:
                if await self._desk.ledger.task(task_id) is None:
                    raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended")
            if active.evicting:
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task is being stopped for its slot")
            if active.lease_id:
                raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this task")
            seat = board.seats[active.account_id]
            if not seat.member.enabled:
                raise ServiceError(_E.ERROR_REASON_NO_ACCOUNT, "the account of this task is disabled")
            if seat.member.has_session:
                lease.lease_id, lease.account_id = self._desk.new_id("lease"), seat.id
                held = Held(lease, task_id)
                board.hold(held)
                board.used_now(seat)
                return held
            now = self._desk.now()
            soon = seat.member.can_log_in and (seat.logging_in or seat.login_after <= now)
            if not soon or deadline <= now:
                raise session_expired()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(self._health.log_in(seat.id))

    async def _grant(self, held: Held, ttl: float) -> Lease | None:
        """Record a reservation; None when the ledger refuses it or the account went away meanwhile."""
        board, now_us = self._desk.board, self._desk.now_us()
        seat = board.seats.get(held.account_id)
        if seat is None:
            return None
        try:
            token = await self._desk.ledger.grant(held.lease, seat.slots, held.task_id, now_us)
        except BaseException:
            self._desk.chores.spawn(self._end(held))  # recorded or not: it is ended behind the grant
            raise
        if token is None or held.id not in board.leases:
            board.let_go(held.id)
            self._queue.stir()
            return None
        held.lease.token = token
        self._extend(held, ttl)
        board.put(replace(seat.member, last_used_us=now_us))
        self._desk.tell(PoolEvent.POOL_EVENT_LEASED, seat.id)
        return copied(held.lease)

    def _extend(self, held: Held, ttl: float) -> None:
        held.lease.expire_time.FromMicroseconds(self._desk.now_us() + int(ttl * 1e6))
        held.deadline = self._desk.now() + ttl
        self._desk.alarm.by(held.deadline)

    async def renew(self, lease_id: LeaseId, token: int, ttl: float) -> Lease:
        """Move a lease's end. Raises LEASE_LOST and LEASE_NOT_FOUND."""
        held = await self._live(lease_id, token)
        self._extend(held, ttl)
        return copied(held.lease)

    async def get(self, lease_id: LeaseId, token: int) -> Lease:
        """Return a live lease. Raises LEASE_LOST and LEASE_NOT_FOUND."""
        return copied((await self._live(lease_id, token)).lease)

    async def claim(self, lease_id: LeaseId, token: int, task_id: TaskId) -> Lease:
        """Take a caller's exclusive lease for a turn: on a new task, or on the one that was made under it.

        Raises LEASE_LOST, LEASE_NOT_FOUND, INVALID_REQUEST for a shared lease, TASK_BUSY while a turn
        runs on it, UNSUPPORTED_VALUE where its slot is another task's.
        """
        held = await self._live(lease_id, token)
        if held.lease.mode != LeaseMode.LEASE_MODE_EXCLUSIVE:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, "lease: a turn needs an exclusive lease")
        if held.claimed:
            raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this lease")
        if held.task_id != task_id:
            raise ServiceError(
                _E.ERROR_REASON_UNSUPPORTED_VALUE,
                "lease: its slot went to the task made under it; name that task, or acquire another lease"
                if held.task_id
                else "lease: a task that exists holds its slot itself; leave the lease out",
            )
        held.claimed = True
        return copied(held.lease)

    def unclaim(self, lease_id: LeaseId) -> None:
        """Give a claimed lease back to its caller, whose it stays."""
        if held := self._desk.board.leases.get(lease_id):
            held.claimed = False

    async def release(self, lease_id: LeaseId, token: int) -> None:
        """End a lease; one that has ended is no error. Raises LEASE_NOT_FOUND."""
        try:
            held = await self._live(lease_id, token)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_LEASE_LOST:
                return
            raise
        await self._desk.chores.settle(self._end(held))

    async def _live(self, lease_id: LeaseId, token: int) -> Held:
        held = self._desk.board.leases.get(lease_id)
        known = held.lease.token if held is not None else await self._desk.ledger.lease_token(lease_id)
        if known is None or known != token:
            raise ServiceError(_E.ERROR_REASON_LEASE_NOT_FOUND, "no lease has this id and token")
        if held is None or held.ending or held.deadline <= self._desk.now():
            raise ServiceError(_E.ERROR_REASON_LEASE_LOST, "the lease lapsed or was released")
        return held

    def lapse(self, now: float) -> None:
        """End every lease whose time is up."""
        for held in list(self._desk.board.leases.values()):
            if held.deadline <= now and not held.ending:
                _log.warning("lease %s of %s lapsed", held.id, held.lease.holder)
                self._desk.chores.spawn(self._end(held))

    async def _end(self, held: Held) -> None:
        """End a lease: by release, by lapse, or because its caller was cancelled."""
        if held.ending:
            return
        held.ending = True
        try:
            await self._desk.ledger.end_lease(held.id, self._desk.now_us())
        except BaseException:
            held.ending, held.deadline = False, self._desk.now() + _RETRY_PAUSE
            self._desk.alarm.by(held.deadline)
            raise
        self._desk.board.let_go(held.id)
        self._desk.tell(PoolEvent.POOL_EVENT_RELEASED, held.account_id)
        self._queue.stir()


def copied(lease: Lease) -> Lease:
    """Return a copy: what is on the board is nobody else's to change."""
    copy = Lease()
    copy.CopyFrom(lease)
    return copy


def session_expired() -> ServiceError:
    """Return what a caller is told about an account without a session."""
    return ServiceError(_E.ERROR_REASON_SESSION_EXPIRED, "the platform no longer takes the account's session")
