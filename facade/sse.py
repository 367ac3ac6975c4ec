"""Answers a turn over raw ASGI: as a stream of SSE bytes, or whole.

Either way the caller's leaving cancels the turn at once, and what fails before
the first byte is an HTTP status. A stream's bytes come from one machine and go
out under one lock, so that keep-alives never cut into them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from howler.task.v1.task_event_pb2 import TaskEvent
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from facade.errors import ApiError

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


class TurnStream(Response):
    """The streamed answer to one request."""

    def __init__(self, turn: Turn, stream: Stream, headers: list[Header], pace: Pace) -> None:
        super().__init__()
        self._turn = turn
        self._stream = stream
        self._extra = headers
        self._pace = pace
        self._lock = asyncio.Lock()
        self._begun = False
        self._wrote_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the turn until it ends or the caller leaves."""
        gone = asyncio.create_task(_until_gone(receive, self._turn.leave))
        tending = asyncio.create_task(self._tend(send))
        try:
            await self._relay(send)
        except ApiError as error:
            async with self._lock:
                await self._fail(error, send)
        finally:
            tending.cancel()
            self._turn.leave()
            await _cancelled(gone, tending)

    async def _relay(self, send: Send) -> None:
        stream, lock = self._stream, self._lock
        async for events in self._turn:
            async with lock:
                await self._write(stream.receive(events), send)
            if stream.finished:
                return

    async def _tend(self, send: Send) -> None:
        """Open the answer where acceptance takes long, then fill silences."""
        await asyncio.sleep(self._pace.open_after)
        async with self._lock:
            if not self._begun:
                await self._write(self._stream.open(), send)
        clock = asyncio.get_running_loop().time
        while not self._stream.finished:
            wait = self._wrote_at + self._pace.keep_alive_after - clock()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            async with self._lock:
                await self._write(self._stream.keep_alive(), send)

    async def _fail(self, error: ApiError, send: Send) -> None:
        if self._begun:
            await self._write(self._stream.abandon(error), send)
        else:
            await send_json(send, error.status, error.body(), [*error.headers(), *self._extra])

    async def _write(self, data: bytes, send: Send) -> None:
        if not data:
            return
        if not self._begun:
            self._begun = True
            headers = [*_STREAM_HEADERS, *self._extra]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        more = not self._stream.finished
        await send({"type": "http.response.body", "body": data, "more_body": more})
        self._wrote_at = asyncio.get_running_loop().time()


class TurnAnswer(Response):
    """The whole answer to one request, told when the turn is over."""

    def __init__(self, turn: Turn, fold: Fold, headers: list[Header]) -> None:
        super().__init__()
        self._turn = turn
        self._fold = fold
        self._extra = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the turn is over; nobody is answered who left before."""
        gone = asyncio.create_task(_until_gone(receive, self._turn.leave))
        try:
            async for events in self._turn:
                self._fold.receive(events)
                if self._fold.finished:
                    break
            if not self._fold.finished:
                return
            await send_json(send, 200, self._fold.answer(), self._extra)
        except ApiError as error:
            await send_json(send, error.status, error.body(), [*error.headers(), *self._extra])
        finally:
            self._turn.leave()
            await _cancelled(gone)


async def send_json(send: Send, status: int, body: bytes, headers: list[Header]) -> None:
    """Send one JSON answer."""
    common = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _until_gone(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
