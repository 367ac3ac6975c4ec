"""A reader's place in a turn's log, and its way to what only the store has of it.

It holds at most one batch of that, and asks for the next when it was taken: one without
credit holds nothing more than its place.
"""

import asyncio
from collections.abc import Callable
from sys import maxsize
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError, incident
from server.store.turns import Span
from server.turn.log import BATCH_BYTES, NOTHING, Piece, TurnLog
from server.turn.wire import behind_fields, cut_fields

_NO_EVENT: Final = Span(0, 0, b"")
_NEVER: Final = maxsize  # a seq that no log comes to


class Watcher:
    """A cursor: the seq that is read next. `wake` is called when there is something to read.

    With `until_now` it is done where the log ends now. Raises INVALID_REQUEST when `after_seq` is not
    there yet.
    """

    def __init__(
        self, log: TurnLog, wake: Callable[[], None], after_seq: int = 0, *, until_now: bool = False
    ) -> None:
        if after_seq >= log.shown:
            raise ServiceError(
                ErrorReason.ERROR_REASON_INVALID_REQUEST, "after_seq is behind the turn's last event"
            )
        self.cursor = after_seq + 1
        self.wake = wake
        self._log = log
        self._until = log.shown if until_now else _NEVER
        self._span = _NO_EVENT
        self._offset = 0  # of the cursor in the span's events
        self._batch: list[Span] = []  # what was read back, without what was taken
        self._reading: asyncio.Task[list[Span]] | None = None
        self._error: ServiceError | None = None
        log.enter(self)
        if self.behind:
            wake()

    def close(self) -> None:
        """Leave the log."""
        self._leave(lost=False)

    def lose(self) -> None:
        """Leave the log without a word: the reader's connection broke, and it may come back."""
        self._leave(lost=True)

    def _leave(self, *, lost: bool) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._log.leave(self, lost=lost)

    def take(self, limit: int = BATCH_BYTES) -> Piece:
        """Return what is ready: up to `limit` bytes, but one event at least; nothing while it is read back.

        Raises the ServiceError that ended the turn before it was accepted, and what reading it back met.
        """
        if self._error is not None:
            raise self._error
        log, until = self._log, self._log.shown
        until = min(until, self._until)
        if self.cursor >= until:
            if log.ended:
                log.raise_failure()
            return NOTHING
        piece = log.newest(self.cursor, until, limit) or self._take_older(until, limit)
        self.cursor += piece.count
        return piece

    def _take_older(self, until: int, limit: int) -> Piece:
        if self.cursor >= self._span.behind and not self._turn_over():
            self._read_back()
            return NOTHING
        span, start = self._span, self._offset
        self._offset, count, size = cut_fields(
            span.events, start, min(span.behind, until) - self.cursor, limit
        )
        return Piece([span.events[start : self._offset]], count, size, more=True)

    def _turn_over(self) -> bool:
        """Turn to the span that holds the cursor, of the batch or of memory; False where there is none."""
        while self._batch and self._batch[0].behind <= self.cursor:
            del self._batch[0]
        span = self._batch.pop(0) if self._batch else self._log.span_of(self.cursor)
        self._span = span or _NO_EVENT
        if span is not None:
            self._offset = behind_fields(span.events, 0, self.cursor - span.first_seq)
        return span is not None

    def _read_back(self) -> None:
        if self._reading is None:
            reading = self._log.keeper.read(self._log.turn_id, self.cursor)
            self._reading = asyncio.ensure_future(reading)
            self._reading.add_done_callback(self._was_read)

    def _was_read(self, reading: asyncio.Task[list[Span]]) -> None:
        self._reading = None
        if reading.cancelled():
            return
        if (error := reading.exception()) is not None:
            told = error if isinstance(error, Exception) else RuntimeError("a read was broken off")
            self._error = told if isinstance(told, ServiceError) else incident(told, self._log.turn_id)
        else:
            self._batch = reading.result()
            if not self._batch:
                self._error = ServiceError(ErrorReason.ERROR_REASON_TURN_NOT_FOUND, "the turn is forgotten")
        self.wake()

    @property
    def behind(self) -> bool:
        """There is more to read, or an end to be told."""
        return self._log.shown > self.cursor or self._log.ended or self.told or self._error is not None

    @property
    def ends(self) -> bool:
        """It is known what comes behind the last event: it may be `done` soon, or `told`, or raise."""
        return self._log.ended or self._until != _NEVER

    @property
    def told(self) -> bool:
        """All was read that was there when it began, and no more was asked for."""
        return self.cursor >= self._until

    @property
    def done(self) -> bool:
        """Everything was read and nothing more will come."""
        log = self._log
        return self.told or (log.ended and not log.failed and log.next_seq == self.cursor)
