"""The tasks that hold slots: recorded, used, ended, and stopped when their slot is needed."""

import asyncio
import logging
from typing import Final, Protocol

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, LeaseId, TaskId
from server.pool.choice import surplus
from server.pool.desk import Desk
from server.pool.granting import Granting
from server.pool.health import Health
from server.pool.leases import Leases
from server.pool.pieces import NO_LEASE, STOPS, ActiveTask, Held, Seat
from server.pool.queue import Queue
from server.pool.treatment import SLOT_CLOSED

_log = logging.getLogger(__name__)
_E = ErrorReason

_NEEDED: Final = "was idle longest and its slot is needed"
_ORPHANED: Final = "was left in the middle of a turn"
_DONE_WITH: Final = "is needed no more"
_SPARED: Final = "was idle longest and too few slots are free"
_LEVELS: Final = {_SPARED: logging.DEBUG}  # of which a line tells for many
_GATHER: Final = 0.05  # seconds in which what happens to slots gathers before it is looked at
_EVICT_PAUSE: Final = 60.0  # seconds before a task that could not be stopped is tried again
_TAKE_PAUSE: Final = 1.0  # the same for one that another replica had, or whose turn could not be adopted


class Evict(Protocol):
    """Stops a task on the platform; one that is gone there is no error."""

    async def __call__(self, task: Task, lease: Lease | None = None) -> None:
        """Stop it under a lease on it, where one is given: nothing is sent once that is lost."""


class Adopt(Protocol):
    """Goes on with the turn that was left in the middle on a task."""

    async def __call__(self, task: Task, lease: Lease) -> bool:
        """Take a lease on the task over, to end it when the turn is; False where the turn cannot go on."""


class Tasks:
    """Active tasks. `evict` stops one on the platform: when it returns the task counts as ended.

    `adopt` is asked before one is stopped that was left in the middle of a turn.
    """

    adopt: Adopt | None = None

    def __init__(
        self,
        desk: Desk,
        queue: Queue,
        health: Health,
        leases: Leases,
        granting: Granting,
        evict: Evict,
    ) -> None:
        self._desk = desk
        self._queue = queue
        self._health = health
        self._leases = leases
        self._granting = granting
        self._evict = evict
        self._sparing = False

    async def record(self, task: Task, lease_id: LeaseId) -> None:
        """Record a task made under a lease.

        Raises LEASE_LOST; the task is recorded all the same, and stopped.
        """
        task_id, account_id = TaskId(task.task_id), AccountId(task.account_id)
        bound = await self._desk.ledger.record_task(task, lease_id)
        self._desk.board.enter(task, lease_id if bound else NO_LEASE)
        await self._health.proven(account_id, lease_id)
        active = self._desk.board.tasks.get(task_id)
        if active is None or active.lease_id != lease_id:
            self.stop_orphans()
            raise ServiceError(_E.ERROR_REASON_LEASE_LOST, "the lease lapsed while the task was made")

    async def touch(self, task_id: TaskId, turn_id: str) -> None:
        """Record that a turn begins on a task."""
        now_us = self._desk.now_us()
        await self._desk.ledger.touch_task(task_id, turn_id, now_us)
        if active := self._desk.board.tasks.get(task_id):
            active.busy, active.task.turn_id = True, turn_id
            self._desk.board.use(active, now_us)

    async def ended(self, task_id: TaskId) -> None:
        """Record that a task has ended: its slot is free."""
        await self._desk.ledger.end_task(task_id, self._desk.now_us())
        if self._desk.board.leave(task_id) is not None:
            self._queue.stir()

    def retire(self, task_id: TaskId) -> None:
        """Stop a task that nobody will speak to again, in the background, unless a turn runs on it."""
        active = self._desk.board.tasks.get(task_id)
        if active is not None and active.idle:
            self.start_eviction(active, _DONE_WITH)

    def stop_orphans(self) -> None:
        """Adopt or stop the tasks that a turn was cut off on: their agents may be at work still.

        Also on an account that is disabled: what ran there when it was goes on or ends in order.
        """
        now = self._desk.now()
        for active in list(self._desk.board.tasks.values()):
            reachable = active.orphaned and self._desk.board.seats[active.account_id].member.has_session
            if reachable and active.evict_after <= now:
                self.start_eviction(active, _ORPHANED)

    def start_eviction(self, active: ActiveTask, why: str = _NEEDED) -> None:
        """Stop a task that no turn uses, in the background."""
        active.evicting = True
        self._desk.chores.spawn(self._stop(active, why))

    async def _stop(self, active: ActiveTask, why: str) -> None:
        """Stop a task under a lease on it, so that no replica begins a turn on it meanwhile."""
        held: Held | None = None
        if active.id not in self._desk.board.tasks:
            return
        adopts = why is _ORPHANED and self.adopt is not None
        pause = _TAKE_PAUSE if adopts else _EVICT_PAUSE
        try:
            held = await self._granting.take(active, active.task.turn_id if adopts else f"{STOPS}it {why}")
            if held is None:
                await self._desk.mirror.refresh({active.account_id})  # another replica has it
                if active.id in self._desk.board.tasks and not active.lease_id:
                    self._not_before(active, _TAKE_PAUSE)
                return
            if why is _ORPHANED and await self._rests(active):
                await self._leases.give_back(held.id)
                return
            if adopts and self.adopt is not None and await self.adopt(active.task, held.lease):
                return
            pause = _EVICT_PAUSE
            _log.log(_LEVELS.get(why, logging.INFO), "task %s is stopped: it %s", active.id, why)
            await self._evict(copied(active.task), held.lease)
        except Exception as error:
            reason = reason_name(error.reason) if isinstance(error, ServiceError) else type(error).__name__
            _log.warning("task %s could not be stopped: %s", active.id, reason)
            self._not_before(active, pause)
            if held is not None:
                await self._leases.give_up(held)
        else:
            await self._leases.give_back(held.id, ended_task=active.id)
        finally:
            active.evicting = False
            self._desk.board.offer_withheld()
            self._queue.stir()

    async def _rests(self, active: ActiveTask) -> bool:
        """Tell whether the turn on a leased task has ended, at a replica of which the board had not heard."""
        await self._desk.mirror.refresh({active.account_id})
        return not active.busy

    def _not_before(self, active: ActiveTask, pause: float) -> None:
        active.evict_after = self._desk.now() + pause
        self._desk.alarm.by(active.evict_after)

    def keep_spare(self) -> None:
        """Stop idle tasks, soon, where too few slots are free for whoever comes next."""
        if self._desk.terms.free_slots != 0 and not self._sparing:
            self._sparing = True
            self._desk.chores.spawn(self._spare())

    async def _spare(self) -> None:
        await asyncio.sleep(_GATHER)
        self._sparing = False
        spared = surplus(self._desk.board, self._desk.terms.spare, self._desk.now())
        if spared:
            _log.info("%d idle tasks are stopped: too few slots are free", len(spared))
        for active in spared:
            self.start_eviction(active, _SPARED)

    def refused(self, lease_id: LeaseId) -> float:
        """See to an account that the platform says is full (upstream-protocol §1.4, 10811) to a lease on it.

        Return for how many seconds the lease's slot is to be closed: not where an idle task is being stopped.
        """
        board = self._desk.board
        held = board.leases.get(lease_id)
        seat = board.seats.get(held.account_id) if held is not None else None
        if held is None or seat is None or not self._make_room(seat):
            return SLOT_CLOSED
        if held.claimed is None:  # else the slot stays its caller's
            board.withhold(held)
        return 0.0

    def _make_room(self, seat: Seat) -> bool:
        """Have an idle task of an account stopped, the one used longest ago; False where there is none."""
        if self._desk.board.making_room(seat):
            return True
        now = self._desk.now()
        mine = (self._desk.board.tasks[task_id] for task_id in seat.tasks)
        idle = (active for active in mine if active.idle and active.evict_after <= now)
        oldest = min(idle, key=lambda active: active.used_us, default=None)
        if oldest is not None:
            self.start_eviction(oldest)
        return oldest is not None


def copied(task: Task) -> Task:
    """Return a copy: what is on the board is nobody else's to change."""
    copy = Task()
    copy.CopyFrom(task)
    return copy
