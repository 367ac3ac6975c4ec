"""TaskService.Relay: many turns over one stream. I/O around the windows; the rules stand in the proto."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from howler.task.v1.relay_pb2 import AnswerTurn, RelayRequest

from server.errors import ServiceError, incident
from server.rpc.checks import invalid
from server.rpc.far import FarWatcher
from server.rpc.reach import AnyWatcher, Reach
from server.rpc.start import check_start
from server.rpc.status import to_proto
from server.turn.keys import may_repeat
from server.turn.live import Cause, LiveTurn, TurnId
from server.turn.log import BATCH_BYTES
from server.turn.window import Window
from server.turn.wire import failed_frame, frame_of, relay_response, told, turn_frame


@dataclass(slots=True)
class _Seat:
    """One turn on the Relay. It has no watcher while it is looked for, no `turn` where none runs here.

    `frame` is what its frames have in common. `said` is what it is told while it is looked for: it hears of
    that when it is found.
    """

    frame: bytes
    turn: LiveTurn | None = None
    watcher: AnyWatcher | None = None
    looking: asyncio.Task[None] | None = None
    window: Window = field(default_factory=Window)
    said: list[RelayRequest] = field(default_factory=list)

    def leave(self) -> None:
        """Leave the turn."""
        if self.looking is not None:
            self.looking.cancel()
        if self.watcher is not None:
            self.watcher.close()


class Relay:
    """One caller's turns, by tag.

    `gather_seconds` is how long after a write the next one waits for more to
    come: 0 writes as soon as anything is ready. After a pause nothing waits.
    """

    def __init__(self, reach: Reach, gather_seconds: float) -> None:
        self._reach = reach
        self._hub = reach.hub
        self._gather_seconds = gather_seconds
        self._seats: dict[int, _Seat] = {}
        self._ready: dict[int, None] = {}  # tags that may have something to tell, in the order of asking
        self._failed: list[bytes] = []
        self._stirred = asyncio.Event()

    async def answers(self, requests: AsyncIterator[RelayRequest]) -> AsyncGenerator[bytes, None]:
        """Yield what all turns have ready until the caller is done and so are they: RelayResponses in bytes.

        Raises INVALID_REQUEST where the caller violates the protocol.
        """
        reading = asyncio.create_task(self._read(requests))
        reading.add_done_callback(lambda _: self._stirred.set())
        self._hub.doors.add(self._stirred.set)
        clock = asyncio.get_running_loop().time
        written = -self._gather_seconds
        try:
            while True:
                self._stirred.clear()
                if (early := written + self._gather_seconds - clock()) > 0 and self._ready:
                    await asyncio.sleep(early)
                if frames := self._gather():
                    yield relay_response(frames)
                    written = clock()
                    continue
                if reading.done():
                    reading.result()
                if not self._seats and (reading.done() or self._hub.closed):
                    return
                await self._stirred.wait()
        finally:
            self._hub.doors.discard(self._stirred.set)
            reading.cancel()
            for seat in self._seats.values():
                if seat.watcher is not None:
                    seat.watcher.lose()
                seat.leave()
            self._seats.clear()

    async def _read(self, requests: AsyncIterator[RelayRequest]) -> None:
        async for request in requests:
            self._receive(request)

    def _receive(self, request: RelayRequest) -> None:
        """Do what a request says. Raises INVALID_REQUEST where it violates the protocol."""
        tag = request.tag
        if not tag:
            raise _violation("tag 0")
        match request.WhichOneof("request"):
            case "start" | "watch":
                self._enter(tag, request)
            case "grant":
                self._grant(tag, request.grant.bytes)
            case "cancel" | "answer":
                if seat := self._seats.get(tag):
                    self._say(seat, request)
            case "detach":
                if seat := self._seats.pop(tag, None):
                    self._ready.pop(tag, None)
                    seat.leave()
            case None:
                raise _violation(f"an empty request for tag {tag}")
        for further in request.also:
            self._receive(further)

    def _enter(self, tag: int, request: RelayRequest) -> None:
        """Start or watch a turn; what goes wrong is told in its frame."""
        if tag in self._seats:
            raise _violation(f"tag {tag} is in use")
        seat = self._seats[tag] = _Seat(frame_of(tag))
        start = request.start
        if request.HasField("start") and not may_repeat(start):
            try:
                check_start(start)
                seat.turn, seat.watcher = self._hub.start(start, self._waker(tag))
            except Exception as error:  # a bug in one turn is not the others' business
                self._refuse(tag, error)
        else:
            seat.looking = asyncio.create_task(self._look(tag, seat, request))

    async def _look(self, tag: int, seat: _Seat, request: RelayRequest) -> None:
        """Find the turn, which may take a look into the store."""
        wake = self._waker(tag)
        try:
            if request.HasField("start"):
                check_start(request.start)
                found = await self._reach.start_once(request.start, wake)
            else:
                found = await self._reach.watch(request.watch, wake)
        except Exception as error:
            self._refuse(tag, error)
            return
        seat.turn, seat.watcher = found
        seat.looking = None
        for said in seat.said:
            self._say(seat, said)
        wake()

    def _waker(self, tag: int) -> Callable[[], None]:
        ready, stir = self._ready, self._stirred.set

        def wake() -> None:
            if not ready:  # else the others' reading comes to it, too
                stir()
            ready[tag] = None

        return wake

    def _refuse(self, tag: int, error: Exception) -> None:
        del self._seats[tag]
        self._failed.append(_failed(tag, error))
        self._stirred.set()

    def _grant(self, tag: int, size: int) -> None:
        if not size:
            raise _violation(f"a grant of 0 bytes for tag {tag}")
        seat = self._seats.get(tag)
        if seat is None:
            return
        seat.window.grant(size)
        if seat.watcher is not None and seat.watcher.behind:
            seat.watcher.wake()

    def _say(self, seat: _Seat, request: RelayRequest) -> None:
        """Interrupt a turn or answer it; one that is looked for hears of it later."""
        if seat.looking is not None:
            seat.said.append(request)
        elif request.HasField("cancel"):
            self._cancel(seat)
        else:
            self._answer(seat, request.answer)

    def _cancel(self, seat: _Seat) -> None:
        if seat.turn is not None:
            seat.turn.interrupt(Cause.CANCELLED)
        elif isinstance(seat.watcher, FarWatcher):
            self._reach.soon(self._reach.cancel(TurnId(seat.watcher.turn_id)))

    def _answer(self, seat: _Seat, answer: AnswerTurn) -> None:
        if isinstance(seat.watcher, FarWatcher):
            turn_id, answers = TurnId(seat.watcher.turn_id), list(answer.answers)
            self._reach.soon(self._reach.answer(turn_id, answer.question_id, answers, decline=answer.decline))
        elif seat.turn is not None and seat.turn.answerer is not None:
            with suppress(ServiceError):  # no open question fits
                seat.turn.answerer(answer.question_id, list(answer.answers), answer.decline)

    def _gather(self) -> list[bytes]:
        """Return what is ready: of each turn what its credit allows, of all what a message takes."""
        frames, self._failed = self._failed, []
        room = BATCH_BYTES
        for tag in list(self._ready):
            if room <= 0:
                break  # the rest comes first in the next message
            del self._ready[tag]
            seat = self._seats.get(tag)
            if seat is None or seat.watcher is None or seat.window.credit <= 0:
                continue  # a grant brings it back
            room -= self._frame(tag, seat, seat.watcher, min(room, seat.window.credit), frames)
        return frames

    def _frame(self, tag: int, seat: _Seat, watcher: AnyWatcher, limit: int, frames: list[bytes]) -> int:
        """Add what is ready of one turn; return the size of its events."""
        first_seq = watcher.cursor
        try:
            piece = watcher.take(limit)
        except ServiceError as error:
            self._leave(tag, seat)
            frames.append(_failed(tag, error))
            return 0
        seat.window.spend(piece.size)
        frame = turn_frame(seat.frame, first_seq if piece.count else 0, piece.fields)
        ends = watcher.ends
        if ends and watcher.done:
            self._leave(tag, seat)
            frames.append(told(frame) if watcher.told or not piece.count else frame)
        elif piece.count:
            frames.append(frame)
            if piece.more or ends:
                self._ready[tag] = None
        return piece.size

    def _leave(self, tag: int, seat: _Seat) -> None:
        del self._seats[tag]
        seat.leave()


def _failed(tag: int, error: Exception) -> bytes:
    told = error if isinstance(error, ServiceError) else incident(error, "Relay")
    return failed_frame(tag, to_proto(told))


def _violation(what: str) -> ServiceError:
    return invalid(f"Relay: {what}")
