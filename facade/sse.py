"""Answers a turn over raw ASGI: as a stream of SSE bytes, or whole.

Either way the caller's leaving cancels the turn at once, and what fails before
the first byte is an HTTP status. A stream's bytes come from one machine and go
out under one lock, so that keep-alives never cut into them. A bug is told like any
failure, by the id of an incident whose whole is in the log: the middleware above
could only cut off an answer that has begun.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from howler.task.v1.task_event_pb2 import TaskEvent
from starlette.types import Receive, Scope, Send

from facade.errors import ApiError, internal

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]

_STREAM_HEADERS: Final[list[Header]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Stream(Protocol):
    """A machine that tells a turn as bytes; after `finished` it has nothing to tell."""

    @property
    def finished(self) -> bool:
        """Everything was told."""

    def open(self) -> bytes:
        """Return the first bytes, where no event has come yet."""

    def receive(self, events: Iterable[TaskEvent]) -> bytes:
        """Return what the events mean."""

    def keep_alive(self) -> bytes:
        """Return something that says nothing."""

    def abandon(self, error: ApiError) -> bytes:
        """Return the end for a failure that no event tells."""


class Fold(Protocol):
    """A machine that folds a turn into one answer."""

    @property
    def finished(self) -> bool:
        """The turn is over."""

    def receive(self, events: Iterable[TaskEvent]) -> None:
        """Take events in order."""

    def answer(self) -> bytes:
        """Return the answer as JSON; raises what the turn failed of."""


class Turn(Protocol):
    """A running turn: batches of its events; raises ApiError where it fails without telling an event.

    It ends after `ended`, or because it was left.
    """

    def __aiter__(self) -> AsyncIterator[Sequence[TaskEvent]]: ...

    def leave(self) -> None:
        """Leave it, which ends the iteration; the server cancels it then, unless it is over."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When a stream speaks unasked, in seconds (openai-surface.md §8)."""

    open_after: float = 10.0
    """The first chunk goes out then, were the turn not accepted: proxies wait no longer."""
    keep_alive_after: float = 15.0
    """Silence after which one keep-alive is sent."""


class TurnStream:
    """The streamed answer to one request."""

    def __init__(self, turn: Turn, stream: Stream, headers: list[Header], pace: Pace) -> None:
        self._turn = turn
        self._stream = stream
        self._extra = headers
        self._pace = pace
        self._lock = asyncio.Lock()
        self._begun = False
        self._clock = asyncio.get_running_loop().time
        self._speaks_at = self._clock() + pace.open_after
        self._silence: asyncio.TimerHandle
        self._send: Send
        self._send_on: Send
        self._filling: asyncio.Task[None] | None = None
        self._untended: Exception | None = None  # why nobody fills the silences any more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the turn until it ends or the caller leaves.

        The telling is a task of its own: each batch wakes it alone, not the whole pile of middleware.
        """
        # What follows the answer's start is nobody's business on the way to the socket (app.Edge).
        self._send, self._send_on = send, scope["state"].get("send", send)
        telling = asyncio.create_task(self._tell(scope))
        self._silence = asyncio.get_running_loop().call_at(self._speaks_at, self._mind_silence)
        try:
            await _until_gone(receive, self._turn.leave)  # which the end of the answer counts as, too
            await telling
        finally:
            self._silence.cancel()
            self._turn.leave()
            await _cancelled(telling, self._filling)

    async def _tell(self, scope: Scope) -> None:
        stream, lock, write = self._stream, self._lock, self._write
        try:
            async for events in self._turn:
                async with lock:
                    await write(stream.receive(events))
                if stream.finished:
                    return
            if self._untended is not None:
                raise self._untended
        except Exception as error:
            failure = _told_by(error, scope)
            async with lock:
                await self._fail(failure)

    def _mind_silence(self) -> None:
        """Speak where nobody did for long; else lie down again, which is cheaper than a timer per batch."""
        if self._clock() >= self._speaks_at:
            self._filling = asyncio.create_task(self._fill())
        else:
            self._silence = asyncio.get_running_loop().call_at(self._speaks_at, self._mind_silence)

    async def _fill(self) -> None:
        """Open an answer whose acceptance takes long, later keep it alive; leave the turn where it fails."""
        try:
            async with self._lock:
                if not self._stream.finished:
                    await self._write(self._stream.keep_alive() if self._begun else self._stream.open())
                    self._speaks_at = self._clock() + self._pace.keep_alive_after
                    self._mind_silence()
        except Exception as error:
            self._untended = error
            self._turn.leave()

    async def _fail(self, error: ApiError) -> None:
        if self._begun:
            await self._write(self._stream.abandon(error))
        else:
            await send_json(self._send, error.status, error.body(), [*error.headers(), *self._extra])

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        if not self._begun:
            self._begun = True
            headers = [*_STREAM_HEADERS, *self._extra]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        more = not self._stream.finished
        await self._send_on({"type": "http.response.body", "body": data, "more_body": more})
        self._speaks_at = self._clock() + self._pace.keep_alive_after


class TurnAnswer:
    """The whole answer to one request, told when the turn is over."""

    def __init__(self, turn: Turn, fold: Fold, headers: list[Header]) -> None:
        self._turn = turn
        self._fold = fold
        self._extra = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the turn is over; nobody is answered who left before."""
        gone = asyncio.create_task(_until_gone(receive, self._turn.leave))
        try:
            outcome = await self._outcome(scope)
            if outcome is not None:
                status, body, headers = outcome
                await send_json(send, status, body, [*headers, *self._extra])
        finally:
            self._turn.leave()
            await _cancelled(gone)

    async def _outcome(self, scope: Scope) -> tuple[int, bytes, list[Header]] | None:
        """Return status, body and headers of the answer or the failure; None where the turn was left."""
        try:
            async for events in self._turn:
                self._fold.receive(events)
                if self._fold.finished:
                    return 200, self._fold.answer(), []
        except Exception as error:
            failure = _told_by(error, scope)
            return failure.status, failure.body(), failure.headers()
        return None


async def send_json(send: Send, status: int, body: bytes, headers: list[Header]) -> None:
    """Send one JSON answer."""
    common = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _until_gone(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _cancelled(*tasks: asyncio.Task[None] | None) -> None:
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _told_by(error: Exception, scope: Scope) -> ApiError:
    """Return what the client is told of a failure; one that is no ApiError is logged whole as an incident."""
    if isinstance(error, ApiError):
        return error
    incident = uuid.uuid4().hex
    _log.error("incident %s in request %s", incident, scope["state"]["request_id"], exc_info=error)
    return internal(incident)
