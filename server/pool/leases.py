"""Leases: granted, renewed, ended, lapsed."""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import POOL_EVENT_RELEASED
from howler.pool.v1.pool_service_pb2 import Lease

from server.errors import ServiceError
from server.pool.account import AccountId, LeaseId, TaskId
from server.pool.desk import Desk
from server.pool.fence import lost
from server.pool.pieces import NO_TASK, Held

_log = logging.getLogger(__name__)
_E = ErrorReason
_RETRY_PAUSE: Final = 1.0  # seconds before the end of a lease that the ledger refused is tried again


class Leases:
    """Who holds what. `gone` is told the task of a lease that ended; it may be in the middle of a turn."""

    def __init__(self, desk: Desk, *, gone: Callable[[TaskId], None]) -> None:
        self._desk = desk
        self._tell_gone = gone
        self._reclaiming = False

    def extend(self, held: Held, asked_at: float, ttl: float) -> None:
        """Believe in a lease that the ledger granted or renewed for `ttl` after it was asked to."""
        held.extend(asked_at + ttl, asked_at + self._desk.terms.belief(ttl))
        if not held.kept:  # its caller is to know
            held.lease.expire_time.FromMicroseconds(self._desk.now_us() + int(ttl * 1e6))
        self._desk.alarm.by(held.fence.until)

    async def renew(self, lease_id: LeaseId, token: int, ttl: float) -> Lease:
        """Move a lease's end, whichever replica granted it. Raises LEASE_LOST and LEASE_NOT_FOUND."""
        await self._check_token(lease_id, token)
        asked_at = self._desk.now()
        if lease_id not in await self._desk.ledger.renew({lease_id: ttl}):
            raise lost()
        held = self._desk.board.leases.get(lease_id)
        if held is None:  # another replica's, and new
            await self._desk.mirror.refresh()
            held = self._desk.board.leases.get(lease_id)
            if held is None:
                raise lost()
        if not held.foreign:
            self.extend(held, asked_at, ttl)
        renewed = copied(held.lease)
        renewed.expire_time.FromMicroseconds(self._desk.now_us() + int(ttl * 1e6))
        return renewed

    async def renew_kept(self) -> None:
        """Renew the leases that the pool keeps, all in one. Those that are lost are let go."""
        board, ttl, asked_at = self._desk.board, self._desk.terms.ttl, self._desk.now()
        kept = {
            held.id: ttl
            for held in board.leases.values()
            if held.kept and held.lease.token and not held.ending and not held.fence.fallen
        }
        if not kept:
            return
        renewed = await self._desk.ledger.renew(kept)
        for lease_id in kept:
            held = board.leases.get(lease_id)
            if held is None or held.ending or held.fence.fallen:
                continue
            if lease_id in renewed:
                self.extend(held, asked_at, ttl)
            else:
                _log.warning("lease %s was lost: the ledger has it no more", lease_id)
                self._lost(held)

    def _lost(self, held: Held) -> None:
        self._desk.board.let_go(held.id)
        self._desk.tell(POOL_EVENT_RELEASED, held.account_id)
        self._desk.mirror.heard({held.account_id})

    async def get(self, lease_id: LeaseId, token: int) -> Lease:
        """Return a live lease. Raises LEASE_LOST and LEASE_NOT_FOUND."""
        return copied((await self.live(lease_id, token)).lease)

    async def release(self, lease_id: LeaseId, token: int) -> None:
        """End a lease; one that has ended is no error. Raises LEASE_NOT_FOUND."""
        try:
            held = await self.live(lease_id, token)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_LEASE_LOST:
                return
            raise
        await self._desk.chores.settle(self.end(held) if held.kept else self._release(held))

    async def _release(self, held: Held) -> None:
        """End a caller's lease; where a turn runs on it that is lost first, and ends it then.

        The turn may run at another replica, which hears of it by the books.
        """
        if held.claimed is None:
            held.ending = True
        else:
            held.fence.fall()
        now_us = self._desk.now_us()
        try:
            ended = await self._desk.ledger.release(held.id, now_us)
        finally:
            held.ending = False
        if ended and held.id in self._desk.board.leases:
            self._desk.board.rest(held.task_id, now_us)
            self._gone(held)
        elif not ended and not held.foreign:
            held.lose(self._desk.now() + self._desk.terms.reclaim)
            self._desk.alarm.by(held.deadline)

    async def give_back(
        self, lease_id: LeaseId, *, ended_task: TaskId = NO_TASK, close_slot: float = 0.0
    ) -> None:
        """End the lease of a turn of ours that is over. One that is lost is left to lapse.

        `ended_task` has ended on the platform; the slot is closed for `close_slot` seconds.
        """
        held = self._desk.board.leases.get(lease_id)
        if held is not None and not held.ending and not held.fence.fallen:
            await self.end(held, ended_task, close_slot)
        elif ended_task:
            await self._desk.ledger.end_task(ended_task, self._desk.now_us())
            self._desk.board.leave(ended_task)
            self._tell_gone(ended_task)

    async def _check_token(self, lease_id: LeaseId, token: int) -> Held | None:
        held = self._desk.board.leases.get(lease_id)
        known = held.lease.token if held is not None else await self._desk.ledger.lease_token(lease_id)
        if known is None or known != token:
            raise ServiceError(_E.ERROR_REASON_LEASE_NOT_FOUND, "no lease has this id and token")
        return held

    async def live(self, lease_id: LeaseId, token: int) -> Held:
        held = await self._check_token(lease_id, token)
        if held is None:
            await self._desk.mirror.refresh()  # it may be another replica's, and new
            held = self._desk.board.leases.get(lease_id)
        if held is None or held.ending or held.deadline <= self._desk.now():
            raise lost()
        return held

    def lapse(self, now: float) -> None:
        """See to every lease whose time is up: ours end, other replicas' are reclaimed in the ledger."""
        reclaimable = False
        for held in list(self._desk.board.leases.values()):
            if held.foreign:
                reclaimable |= held.deadline <= now
            elif not held.ending and held.lease.token:
                if not held.fence.holds and not held.fence.fallen:
                    if held.kept or held.claimed is not None:
                        _log.warning("lease %s (%s) is believed in no longer", held.id, held.lease.purpose)
                    held.fence.fall()
                if held.deadline <= now:
                    self._desk.chores.spawn(self._lapse(held))
        if reclaimable and not self._reclaiming:
            self._desk.chores.spawn(self.reclaim())

    async def reclaim(self) -> None:
        """Have the ledger end the leases that nobody can hold any more; see what it ended.

        What is late then is looked at again: the ledger may have been away, or have less time than we.
        """
        self._reclaiming = True
        try:
            reclaimed = await self._desk.ledger.reclaim()
            self._desk.mirror.heard(reclaimed | self._late())
        finally:
            self._reclaiming = False
            if self._late():
                self._desk.alarm.by(self._desk.now() + _RETRY_PAUSE)

    def _late(self) -> set[AccountId]:
        """Return whose slots should have been reclaimed from other replicas by now."""
        now = self._desk.now()
        leases = self._desk.board.leases.values()
        return {held.account_id for held in leases if held.foreign and held.deadline <= now}

    async def _lapse(self, held: Held) -> None:
        """End a lease of ours whose time is up, unless its caller renewed it at another replica."""
        held.ending = True
        try:
            ended = await self._desk.ledger.lapse(held.id, self._desk.now_us())
        except BaseException:
            self._try_later(held)
            raise
        if ended:
            _log.warning("lease %s of %s lapsed", held.id, held.lease.holder)
            self._gone(held)
        else:
            self._try_later(held)
            await self._desk.mirror.refresh({held.account_id})

    def _try_later(self, held: Held) -> None:
        held.ending, held.deadline = False, self._desk.now() + _RETRY_PAUSE
        self._desk.alarm.by(held.deadline)

    async def give_up(self, held: Held) -> None:
        """End a lease in the middle of what it was for: its task stays as busy as it is."""
        held.fence.fall()
        await self._desk.ledger.renew({held.id: 0.0})
        await self._lapse(held)

    async def end(self, held: Held, ended_task: TaskId = NO_TASK, close_slot: float = 0.0) -> None:
        """End a lease in order: by release, or because its caller was cancelled.

        Whoever is cancelled meanwhile leaves nothing behind: it is ended once more, which does no harm.
        """
        if held.ending:
            return
        held.ending = True
        try:
            await self._write_end(held, ended_task, close_slot)
        except BaseException:
            self._desk.chores.spawn(self._end_surely(held, ended_task, close_slot))
            raise

    async def _write_end(self, held: Held, ended_task: TaskId, close_slot: float) -> None:
        now_us = self._desk.now_us()
        await self._desk.ledger.end_lease(held.id, now_us, ended_task=ended_task, close_slot=close_slot)
        board = self._desk.board
        if ended_task:
            board.leave(ended_task)
        board.rest(held.task_id, now_us)
        if close_slot > 0 and held.exclusive and not held.task_id:
            board.close_slot(held.account_id, self._desk.now() + close_slot)
            self._desk.alarm.by(self._desk.now() + close_slot)
        self._gone(held)

    async def end_stopped(self, stopped: Collection[Held]) -> None:
        """End leases with the tasks that were stopped under them, in one step, or each later by itself."""
        for held in stopped:
            held.ending = True
        now_us = self._desk.now_us()
        try:
            await self._desk.ledger.end_tasks({held.task_id: held.id for held in stopped}, now_us)
        except Exception as error:
            _log.warning("%d tasks that were stopped could not be ended yet: %s", len(stopped), error)
            for held in stopped:
                self._desk.chores.spawn(self._end_surely(held, held.task_id, 0.0))
            return
        for held in stopped:
            self._desk.board.leave(held.task_id)
            self._gone(held)

    async def _end_surely(self, held: Held, ended_task: TaskId, close_slot: float) -> None:
        while True:
            try:
                return await self._write_end(held, ended_task, close_slot)
            except Exception as error:
                _log.warning("lease %s could not be ended yet: %s", held.id, error)
            await asyncio.sleep(_RETRY_PAUSE)

    def _gone(self, held: Held) -> None:
        self._desk.board.let_go(held.id)
        self._desk.tell(POOL_EVENT_RELEASED, held.account_id)
        self._tell_gone(held.task_id)


def copied(lease: Lease) -> Lease:
    """Return a copy: what is on the board is nobody else's to change."""
    copy = Lease()
    copy.CopyFrom(lease)
    return copy


def session_expired() -> ServiceError:
    """Return what a caller is told about an account without a session."""
    return ServiceError(_E.ERROR_REASON_SESSION_EXPIRED, "the platform no longer takes the account's session")
