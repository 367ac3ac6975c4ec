"""Stops tasks that no turn uses: many at a time, each under a lease on it."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError, reason_name
from server.pool.desk import Desk
from server.pool.granting import Granting
from server.pool.leases import Leases
from server.pool.pieces import STOPS, ActiveTask, Held
from server.pool.queue import Queue

_log = logging.getLogger(__name__)

NEEDED: Final = "was idle longest and its slot is needed"
DONE_WITH: Final = "is needed no more"
SPARED: Final = "was idle longest and too few slots are free"
_ORPHANED: Final = "was left in the middle of a turn"
_LEVELS: Final = {SPARED: logging.DEBUG}  # of which a line tells for many
_PAUSE: Final = 60.0  # seconds before a task that could not be stopped is tried again
_TAKE_PAUSE: Final = 1.0  # the same for one that another replica had, or whose turn could not be adopted


class Evict(Protocol):
    """Stops a task on the platform; one that is gone there is no error."""

    async def __call__(self, task: Task, lease: Lease | None = None) -> None:
        """Stop it under a lease on it, where one is given: nothing is sent once that is lost."""


class Adopt(Protocol):
    """Goes on with the turn that was left in the middle on a task."""

    async def __call__(self, task: Task, lease: Lease) -> bool:
        """Take a lease on the task over, to end it when the turn is; False where the turn cannot go on."""


class Stops:
    """Tasks that are being stopped. `evict` stops one on the platform: when it returns it counts as ended.

    `adopt` is asked before one is stopped that was left in the middle of a turn.
    """

    adopt: Adopt | None = None

    def __init__(self, desk: Desk, queue: Queue, leases: Leases, granting: Granting, evict: Evict) -> None:
        self._desk = desk
        self._queue = queue
        self._leases = leases
        self._granting = granting
        self._evict = evict
        self._ended: list[tuple[ActiveTask, Held]] = []  # on the platform; the ledger is to hear of it
        self._recording = False

    def start(self, chosen: Collection[ActiveTask], why: str) -> None:
        """Stop idle tasks in the background."""
        for active in chosen:
            self._desk.board.stop(active)
        self._desk.chores.spawn(self._stop_idle(chosen, why))

    def start_orphan(self, active: ActiveTask) -> None:
        """Have the turn adopted that a task was left in the middle of, else stop it, in the background."""
        self._desk.board.stop(active)
        self._desk.chores.spawn(self._stop_orphan(active))

    async def _stop_idle(self, chosen: Collection[ActiveTask], why: str) -> None:
        leased = await self._lease(chosen, f"{STOPS}it {why}", _PAUSE)
        for active, held in leased[1:]:
            self._desk.chores.spawn(self._stop(active, held, why))
        for active, held in leased[:1]:
            await self._stop(active, held, why)

    async def _stop_orphan(self, active: ActiveTask) -> None:
        adopt = self.adopt
        purpose = active.task.turn_id if adopt is not None else f"{STOPS}it {_ORPHANED}"
        pause = _TAKE_PAUSE if adopt is not None else _PAUSE
        for _, held in await self._lease([active], purpose, pause):
            try:
                rests = await self._rests(active)
                if rests:
                    await self._leases.give_back(held.id)
                adopted = not rests and adopt is not None and await adopt(active.task, held.lease)
            except Exception as error:
                await self._fail(active, held, error, pause)
            else:
                if rests or adopted:
                    self._over([active])
                else:
                    await self._stop(active, held, _ORPHANED)

    async def _lease(
        self, chosen: Collection[ActiveTask], purpose: str, pause: float
    ) -> Sequence[tuple[ActiveTask, Held]]:
        """Lease tasks, so that no replica begins a turn on them meanwhile; return those that were had.

        All are taken in one step. Where that fails none is tried again for `pause` seconds.
        """
        there = [active for active in chosen if active.id in self._desk.board.tasks]
        try:
            leased = await self._granting.take(there, purpose)
        except Exception as error:
            for active in there:
                self._put_off(active, error, pause)
            self._over(there)
            return []
        if missed := [active for active in there if active.id not in leased]:
            self._desk.chores.spawn(self._leave(missed, pause))
        return [(active, leased[active.id]) for active in there if active.id in leased]

    async def _leave(self, missed: Sequence[ActiveTask], pause: float) -> None:
        """Leave tasks to the replicas that have them."""
        board = self._desk.board
        try:
            await self._desk.mirror.refresh({active.account_id for active in missed})
            for active in missed:
                if active.id in board.tasks and not active.lease_id:
                    self._not_before(active, _TAKE_PAUSE)
        except Exception as error:
            for active in missed:
                self._put_off(active, error, pause)
        finally:
            self._over(missed)

    async def _rests(self, active: ActiveTask) -> bool:
        """Tell whether the turn on a leased task has ended, at a replica of which the board had not heard."""
        await self._desk.mirror.refresh({active.account_id})
        return not active.busy

    async def _stop(self, active: ActiveTask, held: Held, why: str) -> None:
        _log.log(_LEVELS.get(why, logging.INFO), "task %s is stopped: it %s", active.id, why)
        try:
            await self._evict(active.task, held.lease)
        except Exception as error:
            await self._fail(active, held, error, _PAUSE)
            return
        self._ended.append((active, held))
        if not self._recording:
            await self._record()

    async def _record(self) -> None:
        """Have the ledger hear what ended: all that ends while it is told the one is told it together."""
        self._recording = True
        try:
            await asyncio.sleep(0)  # more may have ended in this round of the loop
            while self._ended:
                ended, self._ended = self._ended, []
                await self._leases.end_stopped([held for _, held in ended])
                self._over([active for active, _ in ended])
        finally:
            self._recording = False

    async def _fail(self, active: ActiveTask, held: Held, error: Exception, pause: float) -> None:
        self._put_off(active, error, pause)
        try:
            await self._leases.give_up(held)
        finally:
            self._over([active])

    def _put_off(self, active: ActiveTask, error: Exception, pause: float) -> None:
        reason = reason_name(error.reason) if isinstance(error, ServiceError) else type(error).__name__
        _log.warning("task %s could not be stopped: %s", active.id, reason)
        self._not_before(active, pause)

    def _not_before(self, active: ActiveTask, pause: float) -> None:
        active.evict_after = self._desk.now() + pause
        self._desk.alarm.by(active.evict_after)

    def _over(self, tasks: Collection[ActiveTask]) -> None:
        """The tasks are not being stopped any more: somebody may be waiting for what came of it."""
        for active in tasks:
            self._desk.board.stopped(active)
        self._desk.board.offer_withheld()
        self._queue.stir()
