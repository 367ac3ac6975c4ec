"""All turns that run, by id: starts them, finds them, steers them, ends them.

Both doors, Stream and Relay, come through here with the same StartTurn.
"""

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import Answer, EndReason
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.errors import ServiceError, incident
from server.pool.account import TaskId
from server.turn.live import LOST_GRACE, Cause, LiveTurn, TurnId
from server.turn.log import Watcher
from server.turn.rooms import Rooms
from server.turn.runner import Runner

_log = logging.getLogger(__name__)
_E = ErrorReason

_REMEMBERED: Final = 10_000  # turns that are over and still answer CancelTurn


class Watching(NamedTuple):
    """A turn and one watcher's place in its log."""

    turn: LiveTurn
    watcher: Watcher


class Hub:
    """The turns of this process.

    `closed` is True once no turn runs and none will; each of `doors` is called then.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._turns: dict[TurnId, LiveTurn] = {}
        self._tasks: dict[TurnId, asyncio.Task[None]] = {}
        self._over: OrderedDict[TurnId, EndReason] = OrderedDict()
        self._lately: dict[TurnId, LiveTurn] = {}
        self._closing = False
        self.closed = False
        self.doors: set[Callable[[], None]] = set()

    def start(self, start: StartTurn, wake: Callable[[], None]) -> Watching:
        """Start a turn and watch it from its beginning. Raises SHUTTING_DOWN and ALREADY_EXISTS."""
        if self._closing:
            raise Cause.SHUTDOWN.error
        turn_id = TurnId(start.turn_id or f"turn_{uuid.uuid4().hex}")
        if turn_id in self._turns or turn_id in self._over:
            raise ServiceError(_E.ERROR_REASON_ALREADY_EXISTS, "start.turn_id: another turn has it")
        live = LiveTurn(turn_id, start, detach_grace=self._rooms.limits.detach)
        watcher = live.log.watch(wake)
        self._turns[turn_id] = live
        self._tasks[turn_id] = asyncio.create_task(self._run(live), name=turn_id)
        return Watching(live, watcher)

    def watch(self, turn_id: TurnId, after_seq: int, wake: Callable[[], None]) -> Watching:
        """Watch a turn that runs, or ended a short while ago, from behind `after_seq`.

        Raises TURN_NOT_FOUND, SLOW_CONSUMER and INVALID_REQUEST.
        """
        live = self._lately.get(turn_id) or self._live(turn_id)
        return Watching(live, live.log.watch(wake, after_seq))

    async def _run(self, live: LiveTurn) -> None:
        try:
            await Runner(live, self._rooms).run()
        except Exception as error:
            incident(error, live.id)
        finally:
            del self._turns[live.id], self._tasks[live.id]
            self._over[live.id] = live.end_reason
            self._lately[live.id] = live
            asyncio.get_running_loop().call_later(LOST_GRACE, self._lately.pop, live.id)
            while len(self._over) > _REMEMBERED:
                self._over.popitem(last=False)

    async def cancel(self, turn_id: TurnId) -> EndReason:
        """Interrupt a turn and return how it ended. Raises TURN_NOT_FOUND."""
        if turn_id in self._over:
            return self._over[turn_id]
        live = self._live(turn_id)
        live.interrupt(Cause.CANCELLED)
        await live.over.wait()
        return live.end_reason

    def answer(self, turn_id: TurnId, question_id: str, answers: list[Answer], *, decline: bool) -> None:
        """Answer a question of a turn. Raises TURN_NOT_FOUND, QUESTION_NOT_FOUND, INVALID_REQUEST."""
        live = self._live(turn_id)
        if live.answerer is None:
            raise ServiceError(_E.ERROR_REASON_QUESTION_NOT_FOUND, "the turn has no such open question")
        live.answerer(question_id, answers, decline)

    async def stop_task(self, task_id: TaskId) -> Task:
        """Stop a task and the turn on it. Raises TASK_NOT_FOUND and the platform's failures."""
        task = await self._task(task_id)
        if task.state == TaskState.TASK_STATE_ENDED:
            return task
        for live in list(self._turns.values()):
            if live.task_id == task_id and not live.over.is_set():
                live.interrupt(Cause.STOPPED)
                await live.over.wait()
        await self._rooms.stopper.stop_once(task)
        return await self._task(task_id)

    async def _task(self, task_id: TaskId) -> Task:
        task = await self._rooms.store.task(task_id)
        if task is None:
            raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
        return task

    def _live(self, turn_id: TurnId) -> LiveTurn:
        if turn_id not in self._turns:
            raise ServiceError(_E.ERROR_REASON_TURN_NOT_FOUND, "no such turn runs")
        return self._turns[turn_id]

    async def close(self, grace: float) -> None:
        """Refuse new turns, give those that run `grace` seconds, then end them."""
        self._closing = True
        if self._tasks:
            _log.info("waiting up to %g s for %d turns to end", grace, len(self._tasks))
            await asyncio.wait(list(self._tasks.values()), timeout=grace)
        self._rooms.stopper.hurry()
        for live in list(self._turns.values()):
            live.interrupt(Cause.SHUTDOWN)
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=self._rooms.limits.cancel + 10)
        self.closed = True
        for tell in list(self.doors):
            tell()
