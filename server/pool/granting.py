"""Grants leases: on any account that would do, or on one task."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import POOL_EVENT_LEASED
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import TaskState

from server.errors import ServiceError
from server.pool.account import AccountId, TaskId
from server.pool.choice import RETRY_SECONDS, Want
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.leases import Leases, copied, session_expired
from server.pool.pieces import ActiveTask, Held
from server.pool.queue import Place, Queue

_E = ErrorReason
_STALE_TRIES: Final = 5  # of a caller whose time is over, with a board that was brought up to date in between
_STALE_PAUSE, _LONGEST_PAUSE = 0.01, 0.25  # seconds between tries after the first


class Granting:
    """Who gets what.

    A grant is a reservation on the board first, then a record in the ledger; only then a caller
    hears of it. A caller that is cancelled in between leaves a lease that is ended at once.
    """

    def __init__(self, desk: Desk, queue: Queue, health: Health, leases: Leases) -> None:
        self._desk = desk
        self._queue = queue
        self._health = health
        self._leases = leases

    async def acquire(
        self, want: Want, lease: Lease, *, wait: float, ttl: float | None, place: Place | None = None
    ) -> Lease:
        """Wait for what is wanted and grant it; `lease` says for whom, and is kept. See Pool.acquire."""
        deadline = self._desk.now() + wait
        self._desk.alarm.catch_up()  # what time has opened is for those who waited for it
        place = place or self._queue.place()
        stale = 0
        while True:
            lease.lease_id = self._desk.new_id("lease")
            held = await self._queue.wait(want, lease, deadline - self._desk.now(), place)
            if await self._grant(held, ttl):
                return copied(held.lease)
            # Another replica was first: with a board that shows it the caller waits on, at its old place.
            stale += 1
            if stale > _STALE_TRIES and self._desk.now() >= deadline:
                raise ServiceError(
                    _E.ERROR_REASON_POOL_EXHAUSTED, "other replicas took every slot", RETRY_SECONDS
                )
            await self._desk.mirror.refresh({held.account_id})
            await asyncio.sleep(min(_STALE_PAUSE * (stale - 1), _LONGEST_PAUSE))

    async def acquire_task(self, task_id: TaskId, lease: Lease, *, wait: float, ttl: float | None) -> Lease:
        """Grant a lease on an idle task; the wait is for its account's login only. See Pool.acquire."""
        deadline = self._desk.now() + wait
        for _ in range(_STALE_TRIES):
            held = await self._reserve_task(task_id, copied(lease), deadline)
            if await self._grant(held, ttl):
                return copied(held.lease)
            await self._desk.mirror.refresh({held.account_id})
        raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "other replicas use this task")

    async def _reserve_task(self, task_id: TaskId, lease: Lease, deadline: float) -> Held:
        board = self._desk.board
        refreshed = False
        while True:
            active = board.tasks.get(task_id)
            if active is None:
                task = await self._desk.ledger.task(task_id)
                if task is None:
                    raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
                if (
                    refreshed
                    or task.state == TaskState.TASK_STATE_ENDED
                    or AccountId(task.account_id) not in board.seats
                ):
                    raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended")
                refreshed = True  # another replica made it, and the board may not show it yet
                await self._desk.mirror.refresh({AccountId(task.account_id)})
                continue
            if self._used_elsewhere(active) and not refreshed:
                refreshed = True  # it may have been given back just now
                await self._desk.mirror.refresh({active.account_id})
                continue
            _check_idle(active)
            seat = board.seats[active.account_id]
            if not seat.member.enabled:
                raise ServiceError(_E.ERROR_REASON_NO_ACCOUNT, "the account of this task is disabled")
            if seat.member.has_session:
                board.used_now(seat)
                return self._reserve(active, lease)
            now = self._desk.now()
            soon = seat.member.can_log_in and (seat.logging_in or seat.login_after <= now)
            if not soon or deadline <= now:
                raise session_expired()
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline - now):
                    await asyncio.shield(self._health.logins.log_in(seat.id))

    def _used_elsewhere(self, active: ActiveTask) -> bool:
        """Tell whether another replica uses a task, as far as the board knows."""
        held = self._desk.board.leases.get(active.lease_id)
        return active.busy if held is None else held.foreign

    def _reserve(self, active: ActiveTask, lease: Lease) -> Held:
        board = self._desk.board
        lease.lease_id, lease.account_id = self._desk.new_id("lease"), active.account_id
        held = Held(lease, active.id)
        board.hold(held)
        return held

    async def take(self, tasks: Iterable[ActiveTask], purpose: str) -> dict[TaskId, Held]:
        """Lease tasks that nobody uses, in one step, to stop them; return those that no replica had first."""
        reserved = [
            self._reserve(active, Lease(mode=LEASE_MODE_EXCLUSIVE, holder="howler", purpose=purpose))
            for active in tasks
        ]
        now_us, asked_at, ttl = self._desk.now_us(), self._desk.now(), self._desk.terms.ttl
        leases = {held.task_id: held.lease for held in reserved}
        try:
            tokens = await self._desk.ledger.grant_tasks(leases, ttl, now_us)
        except BaseException:
            for held in reserved:
                self._desk.chores.spawn(self._leases.end(held))  # see _grant
            raise
        for held in reserved:
            held.kept = True
        return {
            held.task_id: held
            for held in reserved
            if self._granted(held, tokens.get(held.task_id), asked_at, ttl, now_us)
        }

    async def _grant(self, held: Held, ttl: float | None) -> bool:
        """Record a reservation; False when the ledger refuses it or the account went away meanwhile."""
        now_us, asked_at = self._desk.now_us(), self._desk.now()
        held.kept = ttl is None
        seconds = self._desk.terms.ttl if ttl is None else ttl
        try:
            token = await self._desk.ledger.grant(held.lease, held.task_id, seconds, now_us)
        except BaseException:
            self._desk.chores.spawn(self._leases.end(held))  # recorded or not: it is ended behind the grant
            raise
        return self._granted(held, token, asked_at, seconds, now_us)

    def _granted(self, held: Held, token: int | None, asked_at: float, ttl: float, now_us: int) -> bool:
        """Take note of what the ledger said to a reservation. See _grant."""
        board = self._desk.board
        if token is None or held.id not in board.leases:
            board.let_go(held.id)  # nobody else is told of its slot before the books are read anew
            return False
        held.lease.token = token
        self._leases.extend(held, asked_at, ttl)
        for key in board.probes.of(held.id):
            self._desk.alarm.by(board.probes[key].after)  # the others wait no longer for what it finds out
        board.used_at(held.account_id, now_us)
        self._desk.tell(POOL_EVENT_LEASED, held.account_id)
        return True


def _check_idle(active: ActiveTask) -> None:
    """Raise TASK_ENDED or TASK_BUSY where a task is no one's to take."""
    if active.evicting:
        raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task is being stopped")
    if active.lease_id:
        raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this task")
    if active.busy:
        raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task was left in the middle of a turn")
