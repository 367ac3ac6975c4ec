"""The log of one turn: events with a `seq`, read from cursors by any number of watchers.

The writer never waits. A watcher is a cursor, never a queue: what none of them
needs any more is dropped, and one that lags more than the cap behind is cut off.
Events are kept as bytes, spelled once for all who read them.
"""

from collections.abc import Callable, Iterable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent

from server.errors import ServiceError
from server.turn.wire import first_field

CAP_BYTES: Final = 8 << 20
BATCH_BYTES: Final = 1 << 20


class TurnLog:
    """The events of one turn that somebody has yet to read.

    `cap` bounds their serialized size in bytes, but for the batch that came last.
    `deserted` is called when the last watcher leaves a log that has not ended;
    True says that it was lost, and that what it had not confirmed is kept for one
    that takes its place.
    """

    def __init__(self, deserted: Callable[[bool], None], cap: int = CAP_BYTES) -> None:
        self.next_seq = 1
        self._deserted = deserted
        self._cap = cap
        self._events: list[bytes] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._first = 1  # the seq of self._events[0]
        self._watchers: set[Watcher] = set()
        self._kept_from: int | None = None  # the place of a watcher that was lost
        self._closed = False
        self._failure: ServiceError | None = None

    def append(self, events: Iterable[TaskEvent], now_ms: int, *, wake: bool = True) -> None:
        """Number the events and show them to the watchers, or leave that to whoever wakes them next.

        `now_ms` dates those that the platform did not date, in milliseconds since 1970.
        """
        if self._bytes > self._cap:  # before this batch: a reader that keeps up may get a larger one
            self._cut_laggards()
        keep = self._watchers or self._kept_from is not None
        for event in events:
            event.seq = self.next_seq
            if not event.time_unix_ms:
                event.time_unix_ms = now_ms
            self.next_seq += 1
            if keep:
                spelled = event.SerializeToString()
                self._events.append(first_field(spelled))
                self._sizes.append(len(spelled))
                self._bytes += len(spelled)
        if not keep:
            self._first = self.next_seq
            return
        if wake:
            self.wake()

    def close(self) -> None:
        """End the log: watchers read what is left and are done."""
        self._closed = True
        self.wake()

    def fail(self, error: ServiceError) -> None:
        """End the log with a failure that the watchers are told once they have read the rest."""
        self._failure = error
        self.close()

    def watch(self, wake: Callable[[], None], after_seq: int = 0) -> "Watcher":
        """Return a cursor behind `after_seq`. `wake` is called when there is something to read.

        Raises SLOW_CONSUMER when the events behind it are gone, INVALID_REQUEST
        when it is not there yet.
        """
        if after_seq >= self.next_seq:
            raise ServiceError(
                ErrorReason.ERROR_REASON_INVALID_REQUEST, "after_seq is behind the turn's last event"
            )
        if after_seq + 1 < self._first:
            raise slow_consumer()
        watcher = Watcher(self, after_seq + 1, wake)
        self._watchers.add(watcher)
        self._kept_from = None
        if self._closed or self.next_seq > watcher.cursor:
            wake()
        return watcher

    def wake(self) -> None:
        """Have the watchers look whether there is something to read."""
        for watcher in self._watchers:
            watcher.wake()

    def _cut_laggards(self) -> None:
        """Drop the oldest events until the rest fits; a watcher that had not read them is cut off."""
        drop = 0
        while self._bytes > self._cap:
            self._bytes -= self._sizes[drop]
            drop += 1
        self._forget(drop)
        for watcher in [watcher for watcher in self._watchers if watcher.cursor < self._first]:
            watcher.cut()

    def _forget(self, count: int) -> None:
        del self._events[:count], self._sizes[:count]
        self._first += count

    def trim(self) -> None:
        """Drop what nobody needs any more."""
        floor = min((watcher.confirmed for watcher in self._watchers), default=self.next_seq)
        if self._kept_from is not None:
            floor = min(floor, self._kept_from)
        needless = floor - self._first
        if needless > 0:
            self._bytes -= sum(self._sizes[:needless])
            self._forget(needless)

    def read(self, cursor: int, limit: int) -> tuple[list[bytes], int]:
        """Return what is there from `cursor` on and its size: at most `limit` bytes, at least one event.

        An event is spelled as a field of the messages that carry it; its size is without the field's head.
        """
        start = cursor - self._first
        if start == 0 and self._bytes <= limit:
            return self._events[:], self._bytes
        end, size = start, 0
        while end < len(self._events) and (end == start or size + self._sizes[end] <= limit):
            size += self._sizes[end]
            end += 1
        return self._events[start:end], size

    @property
    def watched(self) -> bool:
        """True while somebody watches."""
        return bool(self._watchers)

    @property
    def ended(self) -> bool:
        """True once nothing more will be appended."""
        return self._closed

    def leave(self, watcher: "Watcher", *, lost: bool = False) -> None:
        """Forget a watcher; of one that was lost, keep the place."""
        if watcher not in self._watchers:
            return
        self._watchers.discard(watcher)
        if not self._watchers and lost:
            self._kept_from = watcher.confirmed
        self.trim()
        if not self._watchers and not self._closed:
            self._deserted(lost)

    def forget_place(self) -> None:
        """Keep no longer what a lost watcher had not confirmed."""
        self._kept_from = None
        self.trim()

    @property
    def failed(self) -> bool:
        """True once the log has ended with a failure, which `take` raises."""
        return self._failure is not None

    def raise_failure(self) -> None:
        """Raise the failure that ended the log, if one did."""
        if self._failure is not None:
            raise self._failure


class Watcher:
    """A reader's place in a turn's log.

    `cursor` is the seq that it reads next, `confirmed` the first that it may
    still need: the two differ for a reader that says later what has arrived.
    """

    def __init__(self, log: TurnLog, cursor: int, wake: Callable[[], None]) -> None:
        self.cursor = self.confirmed = cursor
        self.wake = wake
        self._log = log
        self._cut = False

    def cut(self) -> None:
        """Cut the watcher off: what it had not read is dropped."""
        self._cut = True
        self.close()
        self.wake()

    def close(self) -> None:
        """Leave the log."""
        self._log.leave(self)

    def lose(self) -> None:
        """Leave the log without a word: the reader's connection broke, and it may come back."""
        self._log.leave(self, lost=True)

    def confirm(self, seq: int) -> None:
        """Say that the events before `seq` have arrived."""
        self.confirmed = seq
        self._log.trim()

    def take(self, limit: int = BATCH_BYTES) -> tuple[list[bytes], int]:
        """Return what is ready and its size (see TurnLog.read): up to `limit`, but one event at least.

        Raises the ServiceError that ended the turn before it was accepted, and
        SLOW_CONSUMER when the watcher was cut off.
        """
        if self._cut:
            raise slow_consumer()
        events, size = self._log.read(self.cursor, limit)
        self.cursor += len(events)
        if not events and self._log.ended:
            self._log.raise_failure()
        return events, size

    @property
    def behind(self) -> bool:
        """There is more to read, or an end to be told."""
        return self._cut or self._log.next_seq > self.cursor or self._log.ended

    @property
    def done(self) -> bool:
        """Everything was read and nothing more will come."""
        return self._log.ended and not self._log.failed and self._log.next_seq == self.cursor


def slow_consumer() -> ServiceError:
    """Return what a watcher is told whose events were dropped."""
    return ServiceError(
        ErrorReason.ERROR_REASON_SLOW_CONSUMER,
        f"more than {CAP_BYTES >> 20} MiB of the turn's events were waiting to be read; "
        "the turn itself is left to its on_detach",
    )
