"""The tasks that hold slots: recorded, used, ended, and stopped when their slot is needed."""

import asyncio
import logging
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool.account import AccountId, LeaseId, TaskId
from server.pool.choice import surplus
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.pieces import NO_LEASE, Seat
from server.pool.queue import Queue
from server.pool.stops import DONE_WITH, NEEDED, SPARED, Stops
from server.pool.treatment import SLOT_CLOSED

_log = logging.getLogger(__name__)
_E = ErrorReason

_GATHER: Final = 0.05  # seconds in which what happens to slots gathers before it is looked at


class Tasks:
    """Active tasks, and which of them are stopped when: ahead of need only while they are `minded`."""

    minded = False

    def __init__(self, desk: Desk, queue: Queue, health: Health, stops: Stops) -> None:
        self._desk = desk
        self._queue = queue
        self._health = health
        self._stops = stops
        self._sparing = False

    async def record(self, task: Task, lease_id: LeaseId) -> None:
        """Record a task made under a lease, whatever becomes of the caller.

        Raises LEASE_LOST; the task is recorded all the same, and stopped.
        """
        board = self._desk.board

        def recorded(bound: bool) -> None:
            board.enter(task, lease_id if bound else NO_LEASE)
            if not bound:
                self.stop_orphans()

        await self._desk.ledger.record_task(task, lease_id, recorded)
        await self._health.proven(AccountId(task.account_id), lease_id)
        active = board.tasks.get(TaskId(task.task_id))
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
            self._stops.start([active], DONE_WITH)

    def stop_orphans(self) -> None:
        """Adopt or stop the tasks that a turn was cut off on: their agents may be at work still.

        Also on an account that is disabled: what ran there when it was goes on or ends in order.
        """
        now = self._desk.now()
        for active in list(self._desk.board.tasks.values()):
            reachable = active.orphaned and self._desk.board.seats[active.account_id].member.has_session
            if reachable and active.evict_after <= now:
                self._stops.start_orphan(active)

    def keep_spare(self) -> None:
        """A slot was granted or came free: stop idle tasks, soon, where too few are free for others."""
        if self.minded and not self._sparing and self._desk.terms.free_slots != 0:
            self._sparing = True
            self._desk.chores.spawn(self._spare())

    async def _spare(self) -> None:
        await asyncio.sleep(_GATHER)
        self._sparing = False
        spared = surplus(self._desk.board, self._desk.terms.spare, self._desk.now())
        if spared:
            _log.info("%d idle tasks are stopped: too few slots are free", len(spared))
            self._stops.start(spared, SPARED)

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
        idle = self._desk.board.idle(self._desk.now())
        oldest = next((active for active in idle if active.account_id == seat.id), None)
        if oldest is not None:
            self._stops.start([oldest], NEEDED)
        return oldest is not None


def copied(task: Task) -> Task:
    """Return a copy: what is on the board is nobody else's to change."""
    copy = Task()
    copy.CopyFrom(task)
    return copy
