"""All turns that run, by id: starts them, finds them, steers them, ends them.

Both doors, Stream and Relay, come through here with the same StartTurn.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import Attempt, Durability, StartTurn
from howler.task.v1.task_event_pb2 import Answer, EndReason
from howler.task.v1.task_service_pb2 import Task, TaskState, TurnRecord

from server.acp.opened import Opened
from server.acp.turn import Turn
from server.errors import ServiceError, incident
from server.ids import new_id
from server.pool.account import TaskId
from server.store.turns import StoredTurn
from server.turn.adopted import Left
from server.turn.finished import Finished, FinishedTurn, record_of, restored_log
from server.turn.keys import RETRY_SECONDS, Keyed, Keys
from server.turn.live import Cause, LiveTurn, TurnId
from server.turn.rooms import Rooms
from server.turn.runner import Runner
from server.turn.watcher import Watcher

_log = logging.getLogger(__name__)
_E = ErrorReason
_RETRY: Final = Attempt.ATTEMPT_RETRY
_EPHEMERAL: Final = Durability.DURABILITY_EPHEMERAL
_CANCELLED: Final = EndReason.END_REASON_CANCELLED


class Watching(NamedTuple):
    """One watcher's place in the log of a turn; `turn` is None for one that does not run here."""

    turn: LiveTurn | None
    watcher: Watcher


class Hub:
    """The turns of this process.

    `closed` is True once no turn runs and none will; each of `doors` is called then. `sought` has whom to
    call when a turn that ran elsewhere runs here.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._turns: dict[TurnId, LiveTurn] = {}
        self._tasks: dict[TurnId, asyncio.Task[None]] = {}
        self._keys = Keys()
        seconds = min(RETRY_SECONDS, rooms.limits.retention)
        self.finished = Finished(time.monotonic, seconds, self._forget)
        self._closing = False
        self.closed = False
        self.doors: set[Callable[[], None]] = set()
        self.sought: dict[str, set[Callable[[], None]]] = {}

    def start(self, start: StartTurn, wake: Callable[[], None]) -> Watching:
        """Start a turn and watch it from its beginning. Raises SHUTTING_DOWN and ALREADY_EXISTS."""
        self.check_open()
        turn_id = TurnId(start.turn_id or new_id("turn"))
        if turn_id in self._turns or self.finished.get(turn_id) is not None:
            raise ServiceError(_E.ERROR_REASON_ALREADY_EXISTS, "start.turn_id: another turn has it")
        live = LiveTurn(turn_id, start, self._rooms.journal, detach_grace=self._rooms.limits.detach)
        watcher = Watcher(live.log, wake)
        self._keys.put(start, turn_id)
        self._run(live)
        return Watching(live, watcher)

    def check_open(self) -> None:
        """Raise SHUTTING_DOWN where no turn begins, or goes on, in this process any more."""
        if self._closing:
            raise Cause.SHUTDOWN.error

    async def same_as(self, start: StartTurn) -> str | None:
        """Return the turn that `start.idempotency` says is the same, wherever that runs or ran.

        Raises IDEMPOTENCY_MISMATCH. Where there is none, `start` before anything else.
        """
        found = self._running(start)
        stored: StoredTurn | None = None
        if found is None and start.durability != _EPHEMERAL:
            since_us = time.time_ns() // 1000 - int(RETRY_SECONDS * 1e6)
            stored = await self._rooms.turns.by_key(start.principal, start.idempotency.key, since_us)
            found = self._running(start)  # somebody may have started it meanwhile
        if stored is not None and stored.end_reason == _CANCELLED:
            stored = None
        if found is None and stored is not None and stored.end_us is None:
            found = Keyed(stored.turn_id, stored.digest)
        if found is not None:
            found.check(start)
        else:
            found = self._over(start, stored)
        return None if found is None else found.turn_id

    def _over(self, start: StartTurn, stored: StoredTurn | None) -> Keyed | None:
        """Return the turn that is over and is what a start asks for again."""
        over = self._keys.get(start)
        if over is None and stored is not None:
            over = Keyed(stored.turn_id, stored.digest)
        if over is None or not over.asks(start):
            return None
        if start.idempotency.attempt != _RETRY and not over.unheard:
            return None
        self._keys.note_heard(start)
        return over

    def _running(self, start: StartTurn) -> Keyed | None:
        keyed = self._keys.get(start)
        live = self._turns.get(TurnId(keyed.turn_id)) if keyed is not None else None
        return keyed if live is not None and not live.over.is_set() else None

    async def watch(self, asked: WatchTurn, wake: Callable[[], None]) -> Watching:
        """Watch a turn from behind `after_seq`, or only what it has told by now.

        Raises TURN_NOT_FOUND, also for one that runs elsewhere, INVALID_REQUEST and, like all that asks the
        store, STORE_UNAVAILABLE.
        """
        found = self._here(asked.turn_id)
        if found is None and asked.until_now:
            stored = await self._stored(asked.turn_id)
            log = restored_log(stored, self._rooms.journal)
            return Watching(None, Watcher(log, wake, asked.after_seq, until_now=True))
        found = found or await self._found(asked.turn_id)
        watcher = Watcher(found.log, wake, asked.after_seq, until_now=asked.until_now)
        return Watching(found if isinstance(found, LiveTurn) else None, watcher)

    async def turn(self, turn_id: str) -> TurnRecord:
        """Return what became of a turn. Raises TURN_NOT_FOUND."""
        match self._here(turn_id):
            case LiveTurn() as live:
                return live.record()
            case FinishedTurn(record=record):
                return record
        return record_of(await self._stored(turn_id))

    def has(self, turn_id: str) -> bool:
        """Tell whether a turn runs here, or is over and still in memory."""
        return self._here(turn_id) is not None

    def _here(self, turn_id: str) -> LiveTurn | FinishedTurn | None:
        return self._turns.get(TurnId(turn_id)) or self.finished.get(turn_id)

    async def _stored(self, turn_id: str) -> StoredTurn:
        stored = await self._rooms.turns.get(turn_id)
        if stored is None or not stored.durable:
            raise ServiceError(_E.ERROR_REASON_TURN_NOT_FOUND, "no such turn")
        return stored

    async def _found(self, turn_id: str) -> LiveTurn | FinishedTurn:
        """Return a turn that runs here or is over. Raises TURN_NOT_FOUND."""
        found = self._here(turn_id)
        if found is None:
            stored = await self._stored(turn_id)
            found = self._here(turn_id)
            if found is None and stored.end_us is not None:
                found = self.finished.restore(stored, self._rooms.journal)
        if found is None:
            raise ServiceError(_E.ERROR_REASON_TURN_NOT_FOUND, "the turn does not run here")
        return found

    # Turns that other processes left.

    async def adopt(self, task: Task, lease: Lease) -> bool:
        """Go on with the durable turn that was left in the middle on a task; see pool.tasks.Adopt.

        Raises SHUTTING_DOWN.
        """
        if (left := self._tasks.get(TurnId(task.turn_id))) is not None:
            await asyncio.wait({left})  # its lease was lost here
        self.check_open()
        stored = await self._claimed(task.turn_id, lease.account_id, lease.lease_id)
        self.check_open()
        if stored is None:
            return False
        if stored.held_task_id and not stored.last_seq:  # whether it was asked nobody knows, nor was told
            self._rooms.journal.drop([stored.turn_id])
            return False
        stored = replace(stored, task_id=task.task_id, model=task.model)
        live = self._restored(stored)
        _log.info("turn %s was left in the middle and goes on here", live.id)
        self._run(live, Left(stored, lease))
        for tell in self.sought.pop(live.id, ()):
            tell()
        return True

    async def end_stray(self, turn_id: str) -> None:
        """End a turn that was left in the middle and can go on nowhere: its task is gone."""
        stored = await self._claimed(turn_id, "", "")
        if stored is None:
            return
        if not stored.last_seq:  # it never was accepted, as far as anybody was told
            self._rooms.journal.drop([turn_id])
            return
        live, opened = self._restored(stored), Opened()
        async for events in self._rooms.journal.events(turn_id):
            opened.note(events)
        last = Turn(0, stored.start.question_policy).end(
            EndReason.END_REASON_FAILED,
            error=_E.ERROR_REASON_TASK_ENDED,
            message="Howler was interrupted, and the task has ended meanwhile",
        )
        live.tell([*opened.closing(last), *last])
        live.end(EndReason.END_REASON_FAILED)
        self.finished.add(live)

    async def _claimed(self, turn_id: str, account_id: str, lease_id: str) -> StoredTurn | None:
        """Have a running durable turn of a dead process; None where there is no such."""
        turns = self._rooms.turns
        stored = await turns.get(turn_id)
        if stored is None or stored.end_us is not None or self._here(turn_id) is not None:
            return None
        if not await turns.claim(turn_id, stored.replica, account_id, lease_id):
            return None
        return await turns.get(turn_id)  # until just now its process could write

    def _restored(self, stored: StoredTurn) -> LiveTurn:
        detach_grace = self._rooms.limits.detach
        live = LiveTurn.adopted(stored, self._rooms.journal, detach_grace=detach_grace)
        self._keys.restore(stored.principal, stored.key, Keyed(stored.turn_id, stored.digest))
        return live

    def _run(self, live: LiveTurn, left: Left | None = None) -> None:
        self._turns[live.id] = live
        self._tasks[live.id] = asyncio.create_task(self._carry_out(live, left), name=live.id)

    async def _carry_out(self, live: LiveTurn, left: Left | None) -> None:
        try:
            await Runner(live, self._rooms, left).run()
        except Exception as error:
            incident(error, live.id)
        finally:
            del self._turns[live.id], self._tasks[live.id]
            if live.log.failed or live.end_reason == _CANCELLED:  # whoever asks again has no answer yet
                self._keys.drop(live.start.principal, live.start.idempotency.key, live.id)
            elif live.unheard:
                self._keys.note_unheard(live.start, live.id)
            if not live.is_left:
                self.finished.add(live)

    def _forget(self, turn: FinishedTurn) -> None:
        """A turn that is over leaves the memory, and the store where it was there for memory's sake."""
        record = turn.record
        self._keys.drop(record.principal, turn.key, record.turn_id)
        if turn.log.spilled and not record.durable:
            self._rooms.journal.drop([record.turn_id])

    async def cancel(self, turn_id: TurnId) -> EndReason:
        """Interrupt a turn and return how it ended.

        Raises TURN_NOT_FOUND, and why this process left it where another one goes on with it.
        """
        found = await self._found(turn_id)
        if isinstance(found, FinishedTurn):
            return found.record.end_reason
        found.interrupt(Cause.CANCELLED)
        await found.over.wait()
        if found.is_left:
            found.log.raise_failure()
        return found.end_reason

    async def answer(
        self, turn_id: TurnId, question_id: str, answers: list[Answer], *, decline: bool
    ) -> None:
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

    async def end_turn_in(self, conversation_id: str) -> None:
        """End the turn that runs here in a conversation."""
        for live in list(self._turns.values()):
            if live.conversation_id == conversation_id and not live.over.is_set():
                live.interrupt(Cause.STOPPED)
                await live.over.wait()

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
        """Refuse new turns, give those that run `grace` seconds, then end them.

        Durable ones do not end: they are left in the middle, for whoever gets the leases on their tasks.
        """
        self._closing = True
        self._rooms.pool.stand_down()
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
