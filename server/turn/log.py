"""The log of one turn: events with a `seq`, read from cursors by any number of watchers.

The writer never waits. A watcher is a cursor, never a queue: nothing is kept for its sake. Events are
bytes, spelled once for all who read them: the newest are kept one by one, those before joined to spans.
Of these no more than CAP_BYTES stay in memory: what is older is in the store, and read back from there.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent

from server.errors import ServiceError
from server.store.turns import Span
from server.turn.wire import behind_fields, first_field

BATCH_BYTES: Final = 1 << 20
"""What a watcher takes at once, at most, unless one event is larger."""

CAP_BYTES: Final = 96 << 10
"""What of a log stays in memory beside its newest events: all of most turns, little of 1,000."""

SPAN_BYTES: Final = 16 << 10
"""How many bytes of the newest events are kept one by one, for those who keep up."""


class Keeper(Protocol):
    """Keeps in the store what a log has no room for, or must not lose."""

    def note(self, log: "TurnLog") -> None:
        """Ask the log what `to_write` and write it, soon; then it is told that it is `written`."""

    async def read(self, turn_id: str, seq: int) -> list[Span]:
        """Return a batch of what was written, from the span that holds an event on. Raises StoreError."""


class Reader(Protocol):
    """Whoever is to hear that there is something to read."""

    wake: Callable[[], None]


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Events to be sent: fields in bytes, how many there are, and their size without the fields' heads.

    `more` says that there may be more to read at once.
    """

    fields: list[bytes]
    count: int
    size: int
    more: bool = False


NOTHING: Final = Piece([], 0, 0)


class TurnLog:
    """The events of one turn. They are shown to watchers at once; above the cap the oldest are written.

    `shown` is the seq behind what watchers may read. `deserted` is called when the last watcher leaves a log
    that has not ended; True says that it was lost, and may come back.
    """

    durable = False

    def __init__(self, turn_id: str, keeper: Keeper, deserted: Callable[[bool], None]) -> None:
        self.turn_id = turn_id
        self.keeper = keeper
        self.next_seq = self.shown = 1
        self.ended = False
        self._deserted = deserted
        self.is_elsewhere = False  # the store has refused it
        self._watchers: set[Reader] = set()
        self._failure: ServiceError | None = None
        self._spans: list[Span] = []
        self._bytes = 0  # of the spans
        self._newest: list[bytes] = []
        self._sizes: list[int] = []
        self._newest_bytes = 0
        self._newest_from = 1  # the seq of self._newest[0]
        self._stored = 1  # the seq behind what the store has

    def append(self, events: Iterable[TaskEvent], now_ms: int, *, show: bool = True) -> None:
        """Number the events and show them, or leave that to whoever shows the next.

        `now_ms` dates those that the platform did not date, in milliseconds since 1970.
        """
        if self._newest_bytes > SPAN_BYTES:  # before these: who keeps up has read what goes into the span
            self._join_newest()
        seq = self.next_seq
        for event in events:
            event.seq = seq
            if not event.time_unix_ms:
                event.time_unix_ms = now_ms
            seq += 1
            spelled = event.SerializeToString()
            size = len(spelled)
            self._newest.append(first_field(spelled))
            self._sizes.append(size)
            self._newest_bytes += size
        self.next_seq = seq
        if show:
            self.show()

    def show(self) -> None:
        """Show the watchers what was appended."""
        self.shown = self.next_seq
        for watcher in self._watchers:
            watcher.wake()

    def wake(self) -> None:
        """Have the watchers look whether there is something to read."""
        for watcher in self._watchers:
            watcher.wake()

    def _join_newest(self) -> None:
        span = Span(self._newest_from, len(self._newest), b"".join(self._newest))
        self._spans.append(span)
        self._bytes += len(span.events)
        self._newest.clear()
        self._sizes.clear()
        self._newest_bytes, self._newest_from = 0, self.next_seq
        self._drop_stored(CAP_BYTES)
        self._make_room()

    def _make_room(self) -> None:
        """Have what is above the cap written."""
        if self._bytes > CAP_BYTES:
            self.keeper.note(self)

    def _drop_stored(self, cap: int) -> None:
        """Drop the oldest spans that the store has until the rest fits."""
        while self._bytes > cap and self._spans[0].behind <= self._stored:
            self._bytes -= len(self._spans.pop(0).events)

    def to_write(self) -> list[Span]:
        """Return what is to be written now: while more is in memory than the cap allows, all spans."""
        if self._bytes <= CAP_BYTES:
            return []
        return [span for span in self._spans if span.first_seq >= self._stored]

    def written(self, behind: int) -> None:
        """Take note that the store has everything before a seq."""
        self._stored = behind
        self._drop_stored(CAP_BYTES)

    def refused(self) -> None:
        """Take note that the log is another replica's: what was not written never happened."""
        self.is_elsewhere = True
        self.fail(gone_on())

    def release(self) -> None:
        """Drop from memory what the store has, and join the rest where nobody is about to read it."""
        if self._newest and not self._watchers:
            self._join_newest()
        self._drop_stored(0)

    @property
    def size(self) -> int:
        """What it takes in memory, in bytes."""
        return self._bytes + self._newest_bytes

    @property
    def spilled(self) -> bool:
        """The store has some of it."""
        return self._stored > 1

    @property
    def owed(self) -> bool:
        """It must be in the store, and is not yet."""
        return False

    def close(self) -> None:
        """End the log: watchers read what is left and are done."""
        self._end()
        self.show()

    def fail(self, error: ServiceError) -> None:
        """End the log with a failure that the watchers are told once they have read what is shown."""
        self._failure = error
        self._end()
        self.wake()

    def _end(self) -> None:
        self.ended = True
        self._deserted = _nobody  # the log outlives its turn

    @property
    def failed(self) -> bool:
        """True once the log has ended with a failure."""
        return self._failure is not None

    def raise_failure(self) -> None:
        """Raise the failure that ended the log, if one did."""
        if self._failure is not None:
            raise self._failure

    # Watchers.

    def enter(self, watcher: Reader) -> None:
        """Wake a watcher from now on."""
        self._watchers.add(watcher)

    def leave(self, watcher: Reader, *, lost: bool = False) -> None:
        """Forget a watcher; one that was `lost` may come back."""
        if watcher not in self._watchers:
            return
        self._watchers.discard(watcher)
        if self._watchers:
            return
        if self.ended:
            self.release()
        else:
            self._deserted(lost)

    @property
    def watched(self) -> bool:
        """True while somebody watches."""
        return bool(self._watchers)

    def newest(self, cursor: int, until: int, limit: int) -> Piece | None:
        """Return the events from `cursor` to before `until`: at most `limit` bytes of them, at least one.

        None where they are no longer kept one by one.
        """
        start = cursor - self._newest_from
        if start < 0:
            return None
        end = last = until - self._newest_from
        size = sum(self._sizes[start:end])
        while size > limit and end > start + 1:
            end -= 1
            size -= self._sizes[end]
        return Piece(self._newest[start:end], end - start, size, end < last)

    def span_of(self, seq: int) -> Span | None:
        """Return the span in memory that holds an event."""
        for span in self._spans:
            if span.first_seq <= seq < span.behind:
                return span
        return None


class DurableLog(TurnLog):
    """A log that outlives its process: an event is shown when the store has it."""

    durable = True

    def show(self) -> None:
        """Have what was appended written; it is shown then."""
        self.keeper.note(self)

    def _make_room(self) -> None:
        """What was not written yet is being written anyway."""

    def to_write(self) -> list[Span]:
        """Return all that the store does not have."""
        spans = [_behind(span, self._stored) for span in self._spans if span.behind > self._stored]
        start = max(self._stored, self._newest_from)
        if start < self.next_seq:
            events = self._newest[start - self._newest_from :]
            spans.append(Span(start, len(events), b"".join(events)))
        return spans

    def written(self, behind: int) -> None:
        """Show what the store has."""
        super().written(behind)
        self.shown = behind
        self.wake()

    @property
    def owed(self) -> bool:
        """See TurnLog."""
        return self._stored < self.next_seq and not self.failed

    def restore(self, next_seq: int) -> None:
        """Go on behind what the store has of it."""
        self.next_seq = self.shown = self._stored = self._newest_from = next_seq


def _nobody(_lost: bool) -> None:
    """Tell nobody that the last watcher left."""


def gone_on() -> ServiceError:
    """Return what watchers are told of a turn that goes on, though not here."""
    why = "this server lost the turn's lease; the turn goes on where that is: watch it again"
    return ServiceError(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE, why, 1.0)


def _behind(span: Span, seq: int) -> Span:
    """Return what of a span is not before an event."""
    if span.first_seq >= seq:
        return span
    count = span.behind - seq
    return Span(seq, count, span.events[behind_fields(span.events, 0, span.count - count) :])
