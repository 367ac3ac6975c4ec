"""The log of one turn: events with a `seq`, read from cursors by any number of watchers.

The writer never waits. A watcher is a cursor, never a queue: what all of them
have read is dropped, and one that lags more than the cap behind is cut off.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent

from server.errors import ServiceError

CAP_BYTES: Final = 8 << 20
BATCH_BYTES: Final = 1 << 20


class TurnLog:
    """The events of one turn that somebody has yet to read.

    `cap` bounds their serialized size in bytes. `deserted` is called when the
    last watcher leaves a log that has not ended.
    """

    def __init__(self, deserted: Callable[[], None], cap: int = CAP_BYTES) -> None:
        self.next_seq = 1
        self._deserted = deserted
        self._cap = cap
        self._events: list[TaskEvent] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._first = 1  # the seq of self._events[0]
        self._watchers: set[Watcher] = set()
        self._closed = False
        self._failure: ServiceError | None = None

    def append(self, events: Iterable[TaskEvent], now_ms: int) -> None:
        """Number the events and show them to the watchers.

        `now_ms` dates those that the platform did not date, in milliseconds since 1970.
        """
        for event in events:
            event.seq = self.next_seq
            if not event.time_unix_ms:
                event.time_unix_ms = now_ms
            self.next_seq += 1
            if self._watchers:
                size = event.ByteSize()
                self._events.append(event)
                self._sizes.append(size)
                self._bytes += size
        if not self._watchers:
            self._first = self.next_seq
            return
        if self._bytes > self._cap:
            self._cut_laggards()
        self._wake()

    def close(self) -> None:
        """End the log: watchers read what is left and are done."""
        self._closed = True
        self._wake()

    def fail(self, error: ServiceError) -> None:
        """End the log with a failure that the watchers are told once they have read the rest."""
        self._failure = error
        self.close()

    def watch(self) -> "Watcher":
        """Return a cursor on the events that come from now on."""
        watcher = Watcher(self, self.next_seq)
        self._watchers.add(watcher)
        return watcher

    def _wake(self) -> None:
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
        """Drop what all watchers have read."""
        floor = min((watcher.cursor for watcher in self._watchers), default=self.next_seq)
        read = floor - self._first
        if read > 0:
            self._bytes -= sum(self._sizes[:read])
            self._forget(read)

    def read(self, cursor: int) -> list[TaskEvent]:
        """Return what is there from `cursor` on, about BATCH_BYTES at most."""
        start = cursor - self._first
        if self._bytes <= BATCH_BYTES:
            return self._events[start:]
        end, size = start, 0
        while end < len(self._events) and (end == start or size + self._sizes[end] <= BATCH_BYTES):
            size += self._sizes[end]
            end += 1
        return self._events[start:end]

    @property
    def watched(self) -> bool:
        """True while somebody watches."""
        return bool(self._watchers)

    @property
    def ended(self) -> bool:
        """True once nothing more will be appended."""
        return self._closed

    def leave(self, watcher: "Watcher") -> None:
        """Forget a watcher."""
        if watcher not in self._watchers:
            return
        self._watchers.discard(watcher)
        self.trim()
        if not self._watchers and not self._closed:
            self._deserted()

    def raise_failure(self) -> None:
        """Raise the failure that ended the log, if one did."""
        if self._failure is not None:
            raise self._failure


class Watcher:
    """A reader's place in a turn's log. `cursor` is the seq that it reads next."""

    def __init__(self, log: TurnLog, cursor: int) -> None:
        self.cursor = cursor
        self._log = log
        self._ready = asyncio.Event()
        self._cut = False

    def wake(self) -> None:
        """Say that there is something to read."""
        self._ready.set()

    def cut(self) -> None:
        """Cut the watcher off: what it had not read is dropped."""
        self._cut = True
        self.close()

    def close(self) -> None:
        """Leave the log."""
        self._log.leave(self)
        self._ready.set()

    async def next(self) -> list[TaskEvent]:
        """Return what is ready, waiting for it; an empty list when the turn is over.

        Raises the ServiceError that ended the turn before it was accepted, and
        SLOW_CONSUMER when the watcher was cut off.
        """
        while True:
            if self._cut:
                raise ServiceError(
                    ErrorReason.ERROR_REASON_SLOW_CONSUMER,
                    f"more than {CAP_BYTES >> 20} MiB of the turn's events were waiting to be read; "
                    "the turn itself is left to its on_detach",
                )
            batch = self._log.read(self.cursor)
            if batch:
                self.cursor += len(batch)
                self._log.trim()
                return batch
            if self._log.ended:
                self._log.raise_failure()
                return []
            self._ready.clear()
            await self._ready.wait()
