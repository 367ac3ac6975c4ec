"""One Relay, from its opening to its break: one reader, one writer, a seat for each turn."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import grpc
from google.rpc.status_pb2 import Status
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.relay_pb2 import RelayRequest, RelayResponse, TurnFrame
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.backend.inbox import Inbox
from facade.backend.outbox import Outbox
from facade.backend.status import reason_of, told_by_status
from facade.backend.tags import Tags
from facade.errors import ApiError, internal

_log = logging.getLogger(__name__)

RelayCall = grpc.aio.StreamStreamCall[RelayRequest, RelayResponse]

GRANT_BYTES: Final = 65_536
"""How many bytes of events a turn passes on between two grants: a quarter of its window."""


class Connection:
    """A Relay that is open. What is asked of it after its break has no effect."""

    def __init__(self, call: RelayCall) -> None:
        self._call = call
        self._tags = Tags()
        self._outbox = Outbox()
        self._seats: dict[int, Seat] = {}
        self._stirred = asyncio.Event()
        self._finishing = False
        self.heard = False
        """Something came."""

    def enter(self, request: RelayRequest, inbox: Inbox) -> "Seat":
        """Start or watch the turn that the request says; its `tag` is set here."""
        request.tag = self._tags.take()
        seat = self._seats[request.tag] = Seat(self, request, inbox)
        self._outbox.enter(request)
        self._stirred.set()
        return seat

    def grant(self, tag: int, size: int) -> None:
        """Give a tag that is taken `size` bytes of credit."""
        self._outbox.grant(tag, size)
        self._stirred.set()

    def detach(self, tag: int) -> None:
        """Leave the turn of a tag that is taken."""
        if self._seats.pop(tag).unasked is not None:
            self._outbox.withdraw(tag)
            self._tags.end(tag)
        else:
            self._outbox.detach(tag)
            self._tags.detach(tag)
            self._stirred.set()

    def finish(self) -> None:
        """Let it end once all that waits is written and the server has told the rest."""
        self._finishing = True
        self._stirred.set()

    async def run(self) -> None:
        """Carry the turns until the Relay ends; raises AioRpcError where it breaks.

        It ends too when either half fails, and raises what that failed of: over
        one that is only read no turn would start, be granted credit or be left.
        """
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and not self._call.done():
                writing.result()  # nothing where it is `finish` that ended it: the rest is to be read
            await reading  # where the call is over, this says why
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self) -> None:
        async for response in self._call:
            self.heard = True
            for frame in response.frames[:]:  # a list: to iterate over protobuf's own costs twice as much
                self._receive(frame)

    async def _write(self) -> None:
        while True:
            self._stirred.clear()
            while taken := self._outbox.take():
                for request in taken:
                    if request.WhichOneof("request") in {"start", "watch"}:
                        self._seats[request.tag].unasked = None
                first, *others = taken
                first.also.extend(others)
                await self._call.write(first)
            if self._finishing:
                await self._call.done_writing()
                return
            await self._stirred.wait()

    def _receive(self, frame: TurnFrame) -> None:
        tag = frame.tag
        seat = self._seats.get(tag)
        if seat is None:
            return  # it crossed the Detach
        if not seat.heard:
            seat.heard = True
            self._tags.hear(tag)
        inbox, events = seat.inbox, frame.events[:]
        if events:
            if frame.first_seq != inbox.last_seq + 1:
                _log.error("events %d… of a turn came after %d", frame.first_seq, inbox.last_seq)
                self.detach(tag)
                inbox.fail(internal())
                return
            if inbox.put(events):
                seat.passed_on(events)
        if frame.HasField("failed") and not _goes_on(frame.failed, inbox):
            inbox.fail(_failure(frame.failed, inbox))
        if frame.told:
            inbox.end()
        if inbox.over and self._seats.pop(tag, None) is not None:  # who took the events may have left
            self._tags.end(tag)
            self._outbox.forget(tag)


class Seat:
    """One turn's place on a Relay: its tag, and what its window is owed.

    `unasked` is the request until it is written; from then on the turn may run.
    `heard` says that a frame came for it.
    """

    __slots__ = ("_after", "_connection", "_passed", "_tag", "heard", "inbox", "unasked")

    def __init__(self, connection: Connection, request: RelayRequest, inbox: Inbox) -> None:
        self._connection = connection
        self._tag = request.tag
        self.unasked: RelayRequest | None = request
        self._after = inbox.last_seq  # events up to here came over another Relay, from another window
        self._passed = 0  # bytes of events passed on since the last grant
        self.inbox = inbox
        self.heard = False

    def passed_on(self, events: Sequence[TaskEvent]) -> None:
        """Take note of events that were written on, so that the server may send more of them."""
        if self.inbox.over:
            return
        if self._after and events[0].seq <= self._after:
            events = [event for event in events if event.seq > self._after]
        self._passed += sum(map(TaskEvent.ByteSize, events))
        if self._passed >= GRANT_BYTES:
            self._connection.grant(self._tag, self._passed)
            self._passed = 0

    def leave(self) -> None:
        """Leave the turn, which must not be over."""
        self._connection.detach(self._tag)


def _goes_on(status: Status, inbox: Inbox) -> bool:
    """Tell whether the turn goes on, though not at this server: it is watched on over the next Relay."""
    return bool(inbox.turn_id) and reason_of(status) == ErrorReason.ERROR_REASON_SHUTTING_DOWN


def _failure(status: Status, inbox: Inbox) -> ApiError:
    """Return what ended a turn, or the watching of one that ran when the Relay before broke."""
    if inbox.turn_id and reason_of(status) == ErrorReason.ERROR_REASON_TURN_NOT_FOUND:
        return ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)  # the server that ran it is gone
    return told_by_status(status)
