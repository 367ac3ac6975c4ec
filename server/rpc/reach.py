"""All turns of all replicas: those of this process in the hub, the others by a call that is forwarded.

What the hub does with a turn is told there. What cannot be forwarded fails with BACKEND_UNAVAILABLE.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeAlias, TypeVar

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import Answer, EndReason

from server.errors import ServiceError, incident
from server.pool.account import TaskId
from server.rpc.far import FarWatcher
from server.rpc.owners import PAUSE, Owners
from server.rpc.peers import Line, Peers, Unreachable
from server.turn.hub import Hub
from server.turn.live import LiveTurn, TurnId
from server.turn.watcher import Watcher

_log = logging.getLogger(__name__)
_NOT_FOUND = ErrorReason.ERROR_REASON_TURN_NOT_FOUND
T = TypeVar("T")

AnyWatcher: TypeAlias = Watcher | FarWatcher


class Seen(NamedTuple):
    """One watcher's place in the log of a turn; `turn` is None for one that does not run here."""

    turn: LiveTurn | None
    watcher: AnyWatcher


class Reach:
    """Finds every turn wherever it runs."""

    def __init__(self, hub: Hub, owners: Owners, peers: Peers) -> None:
        self.hub = hub
        self._owners = owners
        self._peers = peers
        self._errands: set[asyncio.Task[Any]] = set()

    async def start_once(self, start: StartTurn, wake: Callable[[], None]) -> Seen:
        """Start a turn, or watch from its beginning the one that `start.idempotency` says is the same."""
        same = await self.hub.same_as(start)
        if same is None:
            return Seen(*self.hub.start(start, wake))
        return await self.watch(WatchTurn(turn_id=same), wake)

    async def watch(self, asked: WatchTurn, wake: Callable[[], None]) -> Seen:
        """Watch a turn; see Hub. What is wrong with one that runs elsewhere the watcher tells."""
        if asked.until_now:  # of a durable turn the store has all that was told
            try:
                return Seen(*await self.hub.watch(asked, wake))
            except ServiceError as error:
                if error.reason != _NOT_FOUND or await self._owners.now(asked.turn_id) is None:
                    raise
        elif await self._owners.of_turn(asked.turn_id) is None:
            return Seen(*await self.hub.watch(asked, wake))
        return Seen(None, FarWatcher(self.hub, self._owners, self._peers, asked, wake))

    async def turn(self, turn_id: str) -> pb.TurnRecord:
        """Return what became of a turn. Raises TURN_NOT_FOUND."""
        try:
            return await self.hub.turn(turn_id)
        except ServiceError as error:
            if error.reason != _NOT_FOUND or (owner := await self._owners.now(turn_id)) is None:
                raise
        async with self._peers.at(owner) as line:
            asked = pb.GetTurnRequest(turn_id=turn_id)
            told: pb.GetTurnResponse = await line.tasks.GetTurn(asked, metadata=line.metadata)
            return told.turn

    async def cancel(self, turn_id: TurnId) -> EndReason:
        """Interrupt a turn and return how it ended. Raises TURN_NOT_FOUND."""

        async def far(line: Line) -> EndReason:
            asked = pb.CancelTurnRequest(turn_id=turn_id)
            told: pb.CancelTurnResponse = await line.tasks.CancelTurn(asked, metadata=line.metadata)
            return told.reason

        return await self._where_it_runs(turn_id, far, lambda: self.hub.cancel(turn_id))

    async def answer(
        self, turn_id: TurnId, question_id: str, answers: list[Answer], *, decline: bool
    ) -> None:
        """Answer a question of a turn. Raises TURN_NOT_FOUND, QUESTION_NOT_FOUND, INVALID_REQUEST."""

        async def far(line: Line) -> None:
            asked = pb.AnswerQuestionRequest(
                turn_id=turn_id, question_id=question_id, answers=answers, decline=decline
            )
            await line.tasks.AnswerQuestion(asked, metadata=line.metadata)

        await self._where_it_runs(
            turn_id, far, lambda: self.hub.answer(turn_id, question_id, answers, decline=decline)
        )

    async def _where_it_runs(
        self, turn_id: str, far: Callable[[Line], Awaitable[T]], near: Callable[[], Awaitable[T]]
    ) -> T:
        while (owner := await self._owners.of_turn(turn_id)) is not None:
            try:
                async with self._peers.at(owner) as line:
                    return await far(line)
            except ServiceError as error:
                if error.reason != _NOT_FOUND:
                    raise
            await asyncio.sleep(PAUSE)  # it is over by now, or about to be somebody else's
        return await near()

    async def stop_task(self, task_id: TaskId) -> pb.Task:
        """Stop a task and the turn on it. Raises TASK_NOT_FOUND and the platform's failures."""
        owner = await self._owners.of_task(task_id)
        if owner is not None:
            try:
                async with self._peers.at(owner) as line:
                    asked = pb.StopTaskRequest(task_id=task_id)
                    told: pb.StopTaskResponse = await line.tasks.StopTask(asked, metadata=line.metadata)
                    return told.task
            except Unreachable as error:
                _log.warning("task %s is stopped under a turn: %s", task_id, error.message)
        return await self.hub.stop_task(task_id)

    async def end_conversation(self, conversation_id: str, task_id: TaskId) -> None:
        """End the turn that runs in a conversation and stop its task ("" for none).

        Raises the platform's failures.
        """
        await self.hub.end_turn_in(conversation_id)
        if task_id:
            await self.stop_task(task_id)

    def soon(self, errand: Coroutine[Any, Any, object]) -> None:
        """Do something that nobody waits for; where it fails nobody is told."""
        running = asyncio.create_task(_done_quietly(errand))
        self._errands.add(running)
        running.add_done_callback(self._errands.discard)


async def _done_quietly(errand: Coroutine[Any, Any, object]) -> None:
    try:
        await errand
    except ServiceError as error:
        _log.info("what a Relay asked of a turn elsewhere was not done: %s", error.message)
    except Exception as error:
        incident(error, "Relay")
