"""A turn that runs: what is asked, its log, and what may interrupt it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Final, NewType, Self

from google.protobuf.timestamp_pb2 import Timestamp
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.start_turn_pb2 import DetachAction, Durability, Message, StartTurn
from howler.task.v1.task_event_pb2 import Answer, EndReason, KeepAlive, TaskEvent
from howler.task.v1.task_service_pb2 import TurnRecord

from server.errors import ServiceError
from server.store.turns import StoredTurn, TurnChange
from server.turn.journal import Journal
from server.turn.keys import digest_of
from server.turn.log import DurableLog, TurnLog, gone_on
from server.turn.pulse import Pulse
from server.turn.scope import Scope

TurnId = NewType("TurnId", str)

LOST_GRACE: Final = 5.0
"""How long, in seconds, a turn waits at least for a watcher whose Relay broke."""

_HELD: Final = 0.02  # seconds that an event waits for the next one, to go out with it

_STORED: Final = 5.0  # seconds for which the store is waited for

_E = ErrorReason
_NOT_OVER: Final = EndReason.END_REASON_UNSPECIFIED
_KEEP: Final = DetachAction.DETACH_ACTION_KEEP
_EPHEMERAL: Final = Durability.DURABILITY_EPHEMERAL


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


class Wait(Scope):
    """A wait that the turn's interruption ends: see LiveTurn.waiting."""

    __slots__ = ("_broken", "_live")

    def __init__(self, live: "LiveTurn") -> None:
        super().__init__()
        self._live = live
        self._broken: Exception | None = None

    def break_off(self, error: Exception) -> None:
        """End it with an error."""
        self._broken = error
        self.end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live = self._live
        live.waited()
        try:
            super().__exit__(kind, error, trace)
        except TimeoutError:
            if live.cause is not None:
                raise Interrupted(live.cause) from None
            assert self._broken is not None, "nothing else ends a wait"
            raise self._broken from None


class LiveTurn:
    """One turn from its start to its end.

    `cause` is what interrupted it, None while nothing did. `task_id` is empty
    until the platform accepted a new task, `conversation_id` while the turn is in
    none. `over` is set once the log has ended; `unheard` says that nobody watched then.
    `listener` hears what is told, `words` the text of the answer, many deltas at once; `news` is what the
    turn adds to its conversation before that.
    """

    def __init__(self, turn_id: TurnId, start: StartTurn, journal: Journal, *, detach_grace: float) -> None:
        self.id = turn_id
        self.start = start
        kind = TurnLog if start.durability == _EPHEMERAL else DurableLog
        self.log: TurnLog = kind(turn_id, journal, self._deserted)
        self.create_us = time.time_ns() // 1000
        self.end_us: int | None = None
        self.cause: Cause | None = None
        self.task_id = start.task_id
        self.conversation_id = start.conversation_id
        self.end_reason = _NOT_OVER
        self.over = asyncio.Event()
        self.unheard = False
        self.on_interrupt: Callable[[], None] | None = None
        self.answerer: Callable[[str, list[Answer], bool], None] | None = None
        self.listener: Callable[[list[TaskEvent]], None] | None = None
        self.words: Callable[[str], None] | None = None
        self.news: Sequence[Message] = ()
        told = start.on_detach
        self._detach_grace = told.grace.ToMilliseconds() / 1000 if told.HasField("grace") else detach_grace
        self._desertion: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        self._wait: Wait | None = None
        self._journal = journal
        self._model = ""
        self.begun = False  # the store has a record of it
        self._is_adopted = False
        self._clock = asyncio.get_running_loop().time
        self._told_at = 0.0
        self._pulse: Pulse | None = None

    @classmethod
    def adopted(cls, stored: StoredTurn, journal: Journal, *, detach_grace: float) -> Self:
        """Return a turn that another process ran: its log goes on where the store's ends."""
        live = cls(TurnId(stored.turn_id), stored.start, journal, detach_grace=detach_grace)
        assert isinstance(live.log, DurableLog), "no other turn is adopted"
        live.log.restore(stored.last_seq + 1)
        live.create_us = stored.create_us
        live.task_id, live.conversation_id = stored.task_id, stored.conversation_id
        live.news = stored.start.messages.messages
        live._model = stored.model
        live.begun = live._is_adopted = True
        return live

    def go_on(self) -> None:
        """Look after an adopted turn: whoever watched it has been lost, and may come back."""
        self._keep_alive()
        if not self.log.watched:
            self._deserted(lost=True)

    @property
    def is_kept(self) -> bool:
        """It was accepted, and the store has what it takes to go on with it in another process."""
        return self.begun and (self._is_adopted or self.log.next_seq > 1)

    @property
    def is_left(self) -> bool:
        """It goes on, though not here: whoever gets the lease on its task adopts it."""
        return self.log.failed and self.is_kept

    @property
    def leaves(self) -> bool:
        """What interrupted it is no end of a turn that another process can go on with.

        A lease of the caller's own is: whoever renews it too late, or gives it back, means the turn.
        """
        lost = self.cause is Cause.LEASE_LOST and not self.start.lease.lease_id
        return self.is_kept and (lost or self.cause is Cause.SHUTDOWN)

    @property
    def age(self) -> float:
        """How many seconds ago it was started."""
        return time.time() - self.create_us / 1e6

    async def begin(
        self, lease: Lease, prompt: str, instructions: str, held_task_id: str = "", *, active_at: int = 0
    ) -> None:
        """Record a durable turn that is about to run under a lease: see StoredTurn. Raises StoreError."""
        if not self.log.durable:
            return
        self.begun = True
        start = StartTurn()
        start.CopyFrom(self.start)
        for field in ("attachments", "prompt", "messages", "guidance", "lease"):
            start.ClearField(field)
        start.messages.messages.extend(self.news)
        start.instructions = instructions
        await self._journal.begin(
            StoredTurn(
                turn_id=self.id,
                start=start,
                account_id=lease.account_id,
                lease_id=lease.lease_id,
                create_us=self.create_us,
                task_id=self.task_id,
                conversation_id=self.conversation_id,
                principal=start.principal,
                key=start.idempotency.key,
                digest=digest_of(self.start) if start.idempotency.key else b"",
                prompt=prompt,
                held_task_id=held_task_id,
                active_at=active_at,
            )
        )

    def accepted(self, model: str) -> None:
        """Take note that the platform runs the turn, with this model."""
        self._model = model
        self._record()
        self._keep_alive()

    def _keep_alive(self) -> None:
        if self.start.HasField("keep_alive"):
            seconds = self.start.keep_alive.ToMilliseconds() / 1000
            self._told_at = self._clock()
            self._pulse = Pulse(seconds, lambda: self._told_at, self._beat)

    def _beat(self) -> None:
        self.tell([TaskEvent(keep_alive=KeepAlive())])

    def _record(self) -> None:
        """Have written what became of a durable turn."""
        if self.log.durable:
            change = TurnChange(self.id, self.task_id, self._model, self.end_us, self.end_reason)
            self._journal.change(change)

    def record(self) -> TurnRecord:
        """Return the turn as its log knows it."""
        log, record = self.log, TurnRecord()
        record.turn_id, record.task_id = self.id, self.task_id
        record.conversation_id, record.principal = self.conversation_id, self.start.principal
        record.end_reason = self.end_reason
        record.last_seq = (log.next_seq if log.ended else log.shown) - 1
        record.durable = log.durable
        _set_time(record.create_time, self.create_us)
        if self.end_us is not None:
            _set_time(record.end_time, self.end_us)
        return record

    def tell(self, events: list[TaskEvent]) -> None:
        """Append events to the log; those that the platform did not date happen now."""
        if self._pulse is not None:
            self._told_at = self._clock()
        if self.listener is not None:
            self.listener(events)
        if self._held is not None:
            self._held.cancel()
            self._held = None
        self.log.append(events, time.time_ns() // 1_000_000)

    def tell_with_next(self, event: TaskEvent) -> None:
        """Append an event that is mostly followed at once by another: both go out in one message.

        A message costs both processes more than what it holds (decision 5); nobody waits longer than _HELD.
        """
        self._told_at = self._clock()
        self.log.append([event], time.time_ns() // 1_000_000, show=False)
        self._held = asyncio.get_running_loop().call_later(_HELD, self.log.show)

    def interrupt(self, cause: Cause) -> None:
        """Interrupt the turn; the first cause counts."""
        if self.cause is not None or self.over.is_set():
            return
        self.cause = cause
        if self.on_interrupt is not None:
            self.on_interrupt()
        elif self._wait is not None:
            self._wait.end()

    def break_off(self, error: Exception) -> None:
        """End what the turn waits for with an error; an interruption goes before it."""
        if self._wait is not None:
            self._wait.break_off(error)

    def waiting(self) -> Wait:
        """Run the body of `with` until it is done, the turn is interrupted or the wait is broken off.

        Raises Interrupted in the second case and what it was broken off with in the third.
        """
        if self.cause is not None:
            raise Interrupted(self.cause)
        self._wait = wait = Wait(self)
        return wait

    def waited(self) -> None:
        """Take note that the wait is over."""
        self._wait = None

    def _deserted(self, lost: bool) -> None:
        """The last watcher left or was lost: `on_detach` decides what becomes of the turn."""
        loop = asyncio.get_running_loop()
        if self.start.on_detach.action == _KEEP:
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
        self.unheard = not self.log.watched
        self._end(reason)
        self._record()
        self.log.close()
        self.over.set()

    async def stored(self) -> None:
        """Wait until the store has the end of a durable turn; not for long, for it may be away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_STORED):
                await self._journal.caught_up(self.log)

    def fail(self, error: ServiceError) -> None:
        """End a turn that the platform never accepted; one that has ended stays as it is.

        One that is kept has not ended: it is left to another process.
        """
        if self.over.is_set():
            return
        self._end(EndReason.END_REASON_FAILED)
        self.log.fail(gone_on() if self.is_kept and error.reason == _E.ERROR_REASON_LEASE_LOST else error)
        if self.begun and not self.is_kept:
            self._journal.drop([self.id])
        self.over.set()

    def _end(self, reason: EndReason) -> None:
        self.end_reason = reason
        self.end_us = time.time_ns() // 1000
        if self._pulse is not None:
            self._pulse.stop()


def _set_time(stamp: Timestamp, us: int) -> None:
    stamp.seconds, stamp.nanos = us // 1_000_000, us % 1_000_000 * 1000
