"""The facade's turns over one Relay, which is opened again when it breaks."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.relay_pb2 import RelayRequest, WatchTurn
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.backend.connection import Connection, RelayCall, Seat
from facade.backend.inbox import Inbox
from facade.errors import ApiError

_log = logging.getLogger(__name__)

MOST_BYTES: Final = 16 * 1024 * 1024
"""The largest message: one that is larger would break the Relay, and with it every turn."""

_ROOM: Final = 64
"""Bytes that a request has beside its StartTurn, at most."""

_PAUSES: Final = (0.05, 1.0)
"""Seconds between a Relay that broke and the next: at first, and at most."""

_FAREWELL: Final = 1.0
"""Seconds that the last requests have to be written when the process goes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a turn waits for a connection, in seconds."""

    start: float = 3.0
    """Until one that was not asked for yet fails."""
    resume: float = 5.0
    """Until one that runs fails; the server keeps it for 5 s at least (task_service.proto, Relay)."""


class RunningTurn:
    """A turn that this facade starts or watches, as `request` says: an iterator over batches of its events.

    A batch counts as passed on when the next one is asked for: that gives the
    turn's window its credit back. Fails with ApiError where the turn does
    without telling an event. Ends after `ended`, or after `leave`. Whoever stops
    reading before its end leaves it.
    """

    def __init__(self, request: RelayRequest, gone: "Callable[[RunningTurn], None]") -> None:
        self._request: RelayRequest | None = request  # while nobody was asked for it
        self._watch = request.watch
        self._gone = gone
        self._inbox = Inbox()
        self._seat: Seat | None = None
        self._given: Sequence[TaskEvent] = ()
        self._expiry: asyncio.TimerHandle | None = None

    def __aiter__(self) -> "RunningTurn":
        return self

    async def __anext__(self) -> Sequence[TaskEvent]:
        """Return the next batch."""
        if self._given and self._seat is not None:
            self._seat.passed_on(self._given)
        self._given = ()
        try:
            self._given = await self._inbox.get()
        except ApiError:
            self._gone(self)
            raise
        if not self._given:
            self._gone(self)
            raise StopAsyncIteration
        return self._given

    def at_once(self, take: Callable[[Sequence[TaskEvent]], bool]) -> None:
        """Offer `take` each batch but the last, where it comes while the next one is waited for.

        It must neither wait nor raise. A batch counts as passed on when it says that it took it.
        """
        self._inbox.take = take

    def leave(self) -> None:
        """Stop following it; the server cancels a turn that is not over."""
        self._part()
        self._inbox.close()

    def end(self, error: ApiError) -> None:
        """Stop following it and fail whoever reads it with the error; nothing where it is over."""
        self._part()
        self._inbox.fail(error)

    def enter(self, connection: Connection) -> None:
        """Go on over a connection: start it there, or watch it from where it was."""
        self._stop_waiting()
        if self._inbox.over:
            return
        request, self._request = self._request, None
        if self._turn_id:
            place = self._turn_id, self._inbox.last_seq
            request = watching(*place, until_now=self._watch.until_now)
        assert request is not None, "a turn that was asked for and not accepted is over"
        self._seat = connection.enter(request, self._inbox)

    def wait(self, patience: Patience) -> None:
        """Wait for a connection, where it may go on over another.

        A turn that was asked for and not accepted may run or not: it ends here,
        for it is never started twice.
        """
        if self._seat is not None:
            self._request, self._seat = self._seat.unasked, None
        error = ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)
        if self._request is None and not self._turn_id:
            self._inbox.fail(error.once_accepted())
        elif not self._inbox.over and self._expiry is None:
            seconds = patience.resume if self._inbox.turn_id else patience.start
            self._expiry = asyncio.get_running_loop().call_later(seconds, self._inbox.fail, error)

    @property
    def _turn_id(self) -> str:
        """The server's id of the turn; empty while only the server may know it."""
        return self._inbox.turn_id or self._watch.turn_id

    def _part(self) -> None:
        self._stop_waiting()
        if self._seat is not None and not self._inbox.over:
            self._seat.leave()
        self._seat = None
        self._gone(self)

    def _stop_waiting(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None


def watching(turn_id: str, after_seq: int = 0, *, until_now: bool = False) -> RelayRequest:
    """Return the request to watch a turn from behind `after_seq`, or what it has told by now."""
    return RelayRequest(watch=WatchTurn(turn_id=turn_id, after_seq=after_seq, until_now=until_now))


class Relay:
    """Follows turns over one connection at a time; `open_call` opens a call that waits for the server.

    Connects at once, in the running loop, and as soon as it can after a break.
    No state outlives a connection but the turns that are followed.
    """

    def __init__(self, open_call: Callable[[], RelayCall], patience: Patience) -> None:
        self._open_call = open_call
        self._patience = patience
        self._turns: set[RunningTurn] = set()
        self._connection: Connection | None = None
        self._closing = False
        self._task = asyncio.create_task(self._stay_connected())

    def follow(self, request: RelayRequest) -> RunningTurn:
        """Start or watch a turn, once there is a connection. It fails, if it does, where it is read."""
        turn = RunningTurn(request, self._turns.discard)
        self._turns.add(turn)
        if request.ByteSize() > MOST_BYTES - _ROOM:
            turn.end(ApiError.of(ErrorReason.ERROR_REASON_PROMPT_TOO_LARGE))
        elif self._connection is not None:
            turn.enter(self._connection)
        else:
            turn.wait(self._patience)
        return turn

    def end_turns(self, error: ApiError) -> None:
        """End the turns that run, each with the error."""
        for turn in list(self._turns):
            turn.end(error)

    async def close(self) -> None:
        """Close the connection; what was asked of it is written first, where it can be."""
        self._closing = True
        if self._connection is not None:
            self._connection.finish()
            await asyncio.wait({self._task}, timeout=_FAREWELL)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _stay_connected(self) -> None:
        pause, longest = _PAUSES
        while True:
            if await self._connect_once():
                pause = _PAUSES[0]
            if self._closing:
                return
            for turn in list(self._turns):
                turn.wait(self._patience)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _connect_once(self) -> bool:
        """Carry the turns over one connection until it breaks; say whether the server said anything."""
        call = self._open_call()
        connection = Connection(call)
        try:
            await call.wait_for_connection()
            _log.info("the Relay is open; turns that waited for it: %d", len(self._turns))
            self._connection = connection
            for turn in list(self._turns):
                turn.enter(connection)
            await connection.run()
            if not self._closing:
                _log.warning("the server ended the Relay; turns on it: %d", len(self._turns))
        except grpc.aio.AioRpcError as error:
            _log.warning("the Relay broke: %s; turns on it: %d", error.code().name, len(self._turns))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            _log.warning("the Relay was cancelled")
        except Exception:
            _log.exception("the Relay failed")
        finally:
            self._connection = None
            call.cancel()
        return connection.heard
