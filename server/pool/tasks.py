"""The tasks that hold slots: recorded, used, ended, and stopped when their slot is needed."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, LeaseId, TaskId
from server.pool.board import ActiveTask
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.queue import Queue

_log = logging.getLogger(__name__)
_E = ErrorReason

Evict = Callable[[Task], Awaitable[None]]
_NEEDED: Final = "was idle longest and its slot is needed"
_EVICT_PAUSE: Final = 60.0  # seconds before a task that could not be stopped is tried again


class Tasks:
    """Active tasks. `evict` stops one on the platform: when it returns the task counts as ended."""

    def __init__(self, desk: Desk, queue: Queue, health: Health, evict: Evict) -> None:
        self._desk = desk
        self._queue = queue
        self._health = health
        self._evict = evict

    async def record(self, task: Task, lease_id: LeaseId) -> None:
        """Record a task made under a lease. Raises LEASE_LOST; the task is recorded all the same."""
        task_id, account_id = TaskId(task.task_id), AccountId(task.account_id)
        await self._desk.ledger.record_task(task, lease_id)
        if account_id not in self._desk.board.seats:  # removed meanwhile: nobody could ever use the task
            await self._desk.ledger.end_task(task_id, self._desk.now_us())
        self._desk.board.enter(task, lease_id)
        await self._health.proven(account_id)
        active = self._desk.board.tasks.get(task_id)
        if active is None or active.lease_id != lease_id:
            self._queue.stir()
            raise ServiceError(_E.ERROR_REASON_LEASE_LOST, "the lease lapsed while the task was made")

    async def touch(self, task_id: TaskId, turn_id: str) -> None:
        """Record that a turn begins on a task."""
        now_us = self._desk.now_us()
        if active := self._desk.board.tasks.get(task_id):
            active.task.turn_id = turn_id
            active.task.last_used_time.FromMicroseconds(now_us)
        await self._desk.ledger.touch_task(task_id, turn_id, now_us)

    async def ended(self, task_id: TaskId) -> None:
        """Record that a task has ended: its slot is free."""
        await self._desk.ledger.end_task(task_id, self._desk.now_us())
        if self._desk.board.leave(task_id) is not None:
            self._queue.stir()

    def start_eviction(self, active: ActiveTask, why: str = _NEEDED) -> None:
        """Stop a task that no turn uses, in the background."""
        self._desk.chores.spawn(self._stop(active, why))

    async def _stop(self, active: ActiveTask, why: str = _NEEDED) -> None:
        active.evicting = True
        _log.info("task %s is stopped: it %s", active.id, why)
        try:
            await self._evict(copied(active.task))
        except Exception as error:
            reason = reason_name(error.reason) if isinstance(error, ServiceError) else type(error).__name__
            _log.warning("task %s could not be stopped: %s", active.id, reason)
            active.evict_after = self._desk.now() + _EVICT_PAUSE
            self._desk.alarm.by(active.evict_after)
        else:
            await self.ended(active.id)
        finally:
            active.evicting = False
            self._queue.stir()

    def make_room(self, account_id: AccountId) -> None:
        """Stop an idle task of an account that the platform says is full (upstream-protocol §1.4, 10811)."""
        now = self._desk.now()
        idle = [
            active
            for active in self._desk.board.tasks.values()
            if active.account_id == account_id and not active.lease_id and active.evict_after <= now
        ]
        if idle and not any(active.evicting for active in idle):
            oldest = min(idle, key=lambda active: active.idle_since)
            oldest.evicting = True
            self._desk.chores.spawn(self._make_room_by(oldest))

    async def _make_room_by(self, active: ActiveTask) -> None:
        await self._stop(active)
        if active.id not in self._desk.board.tasks:  # there is room now: the account need not cool
            for cooling in list(self._desk.board.coolings.values()):
                reason = reason_name(_E.ERROR_REASON_CONCURRENCY_LIMIT)
                if cooling.account_id == active.account_id and cooling.cooldown.reason == reason:
                    await self._health.warm(cooling)


def copied(task: Task) -> Task:
    """Return a copy: what is on the board is nobody else's to change."""
    copy = Task()
    copy.CopyFrom(task)
    return copy
