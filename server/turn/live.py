"""A turn that runs: what is asked, its log, and what may interrupt it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, NewType

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import DetachAction, StartTurn
from howler.task.v1.task_event_pb2 import Answer, EndReason, TaskEvent

from server.errors import ServiceError
from server.turn.log import TurnLog

TurnId = NewType("TurnId", str)

LOST_GRACE: Final = 5.0
"""How long, in seconds, a turn waits at least for a watcher whose Relay broke."""

_HELD: Final = 0.02  # seconds that an event waits for the next one, to go out with it

_E = ErrorReason
_NOT_OVER: Final = EndReason.END_REASON_UNSPECIFIED
_KEEP: Final = DetachAction.DETACH_ACTION_KEEP


class Cause(Enum):
    """What interrupts a turn: how it ends then, why, and what people read."""

    CANCELLED = (EndReason.END_REASON_CANCELLED, _E.ERROR_REASON_CANCELLED, "the turn was cancelled")
    DETACHED = (EndReason.END_REASON_CANCELLED, _E.ERROR_REASON_CANCELLED, "the caller left")
    STOPPED = (EndReason.END_REASON_CANCELLED, _E.ERROR_REASON_CANCELLED, "the task was stopped")
    TIME_LIMIT = (
        EndReason.END_REASON_TIME_LIMIT,
        _E.ERROR_REASON_TIME_LIMIT,
        "the turn reached its deadline or HOWLER_TURN_TIMEOUT",
    )
    LEASE_LOST = (EndReason.END_REASON_FAILED, _E.ERROR_REASON_LEASE_LOST, "the turn's lease lapsed")
    SHUTDOWN = (EndReason.END_REASON_FAILED, _E.ERROR_REASON_SHUTTING_DOWN, "Howler is shutting down")

    @property
    def end_reason(self) -> EndReason:
        """How an accepted turn ends."""
        return self.value[0]

    @property
    def error(self) -> ServiceError:
        """What a caller is told whose turn was not accepted yet."""
        return ServiceError(self.value[1], self.value[2])


class Interrupted(Exception):
    """The turn was interrupted while it waited."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.name)
        self.cause = cause


class LiveTurn:
    """One turn from its start to its end.

    `cause` is what interrupted it, None while nothing did. `task_id` is empty
    until the platform accepted a new task. `over` is set once the log has ended.
    """

    def __init__(self, turn_id: TurnId, start: StartTurn, *, detach_grace: float) -> None:
        self.id = turn_id
        self.start = start
        self.log = TurnLog(self._deserted)
        self.cause: Cause | None = None
        self.task_id = start.task_id
        self.end_reason = _NOT_OVER
        self.over = asyncio.Event()
        self.on_interrupt: Callable[[], None] | None = None
        self.answerer: Callable[[str, list[Answer], bool], None] | None = None
        told = start.on_detach
        self._detach_grace = told.grace.ToMilliseconds() / 1000 if told.HasField("grace") else detach_grace
        self._desertion: asyncio.TimerHandle | None = None
        self._scope: asyncio.Timeout | None = None
        self._held: asyncio.TimerHandle | None = None
        self._broken: Exception | None = None

    def tell(self, events: list[TaskEvent]) -> None:
        """Append events to the log; those that the platform did not date happen now."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
        self.log.append(events, time.time_ns() // 1_000_000)

    def tell_with_next(self, event: TaskEvent) -> None:
        """Append an event that is mostly followed at once by another: both go out in one message.

        A message costs both processes more than what it holds (decision 5); nobody waits longer than _HELD.
        """
        self.log.append([event], time.time_ns() // 1_000_000, wake=False)
        self._held = asyncio.get_running_loop().call_later(_HELD, self.log.wake)

    def interrupt(self, cause: Cause) -> None:
        """Interrupt the turn; the first cause counts."""
        if self.cause is not None or self.over.is_set():
            return
        self.cause = cause
        if self.on_interrupt is not None:
            self.on_interrupt()
        elif self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    def break_off(self, error: Exception) -> None:
        """End what the turn waits for with an error; an interruption goes before it."""
        if self._scope is not None:
            self._broken = error
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Run the body until it is done, the turn is interrupted or the wait is broken off.

        Raises Interrupted in the second case and what it was broken off with in the third.
        """
        if self.cause is not None:
            raise Interrupted(self.cause)
        try:
            async with asyncio.timeout(None) as scope:
                self._scope = scope
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            if self.cause is not None:
                raise Interrupted(self.cause) from None
            assert self._broken is not None, "nothing else ends a wait"
            raise self._broken from None
        finally:
            self._scope = self._broken = None

    def _deserted(self, lost: bool) -> None:
        """The last watcher left or was lost: `on_detach` decides what becomes of the turn."""
        loop = asyncio.get_running_loop()
        if self.start.on_detach.action == _KEEP:
            if lost:
                loop.call_later(LOST_GRACE, self.log.forget_place)
            return
        grace = max(self._detach_grace, LOST_GRACE if lost else 0.0)
        if grace > 0:
            if self._desertion is not None:
                self._desertion.cancel()  # somebody came back and left again: the time begins anew
            self._desertion = loop.call_later(grace, self._still_deserted)
        else:
            self.interrupt(Cause.DETACHED)

    def _still_deserted(self) -> None:
        if not self.log.watched:
            self.interrupt(Cause.DETACHED)

    def end(self, reason: EndReason) -> None:
        """Close the log of an accepted turn, whose `ended` stands in it."""
        self.end_reason = reason
        self.log.close()
        self.over.set()

    def fail(self, error: ServiceError) -> None:
        """End a turn that the platform never accepted; one that has ended stays as it is."""
        if self.over.is_set():
            return
        self.end_reason = EndReason.END_REASON_FAILED
        self.log.fail(error)
        self.over.set()
