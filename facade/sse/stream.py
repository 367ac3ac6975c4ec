"""Answers a turn over raw ASGI, as a stream of SSE bytes.

The caller's leaving leaves the turn at once, and what fails before the first
byte is an HTTP status. The bytes come from one machine and go out one piece after
the other: what a turn tells waits for a keep-alive that is being written, and none
is written while something else is. A bug is told like any failure, by the id of an
incident whose whole is in the log: the middleware above could only cut off an
answer that has begun.

Nearly all that a turn tells is told at once, by whoever it comes from: no task is
woken for it. What must wait, the first and the last, is left to the request's own task.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from starlette.types import Receive, Scope, Send

from facade.errors import ApiError
from facade.openai.heard import Heard
from facade.sse.asgi import Header, Turn, Wire, cancelled, send_json, told_by, watch
from facade.sse.pace import COMMENT, KeepAlive, Pace

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

    def receive(self, events: Iterable[Heard]) -> bytes:
        """Return what the events mean."""

    def keep_alive(self) -> bytes:
        """Return something that says nothing."""

    def abandon(self, error: ApiError) -> bytes:
        """Return the end for a failure that no event tells."""


class TurnStream:
    """The streamed answer to one request."""

    def __init__(self, turn: Turn, stream: Stream, headers: list[Header], pace: Pace) -> None:
        self._turn = turn
        self._stream = stream
        self._extra = headers
        self._pace = pace
        self._patience = pace.keep_alive_after
        self._begun = False
        self._writing = False  # what the turn tells
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._speaks_at = self._clock() + pace.open_after
        self._silence: asyncio.TimerHandle  # looks after it at `_minds_at`
        self._minds_at = self._speaks_at
        self._send: Send
        self._send_on: Send
        self._filling: asyncio.Task[None] | None = None
        self._untended: Exception | None = None  # why the turn was left
        self._put: Callable[[bytes], bool]
        self._flows = False  # the answer has begun, and its reader keeps up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the turn until it ends or the caller leaves."""
        # What follows the answer's start is nobody's business on the way to the socket (app.Edge).
        state = scope["state"]
        self._send, self._send_on = send, state.get("send", send)
        wire: Wire | None = state.get("wire")
        if wire is not None:
            self._put = wire.write
            self._turn.at_once(self._tell_at_once)
        gone = watch(scope, receive, self._turn.leave)
        self._silence = self._loop.call_at(self._minds_at, self._mind_silence)
        try:
            await self._tell(scope)
        finally:
            self._silence.cancel()
            self._turn.leave()
            if gone is not None or self._filling is not None:
                await cancelled(gone, self._filling)

    async def _tell(self, scope: Scope) -> None:
        stream, write = self._stream, self._write
        try:
            async for events in self._turn:
                self._writing = True
                if self._filling is not None:
                    await self._filling
                await write(stream.receive(events))
                if stream.finished:
                    return
                self._writing = False
            if self._untended is not None:
                raise self._untended
        except Exception as error:
            self._writing = True
            if self._filling is not None:
                await self._filling
            await self._fail(told_by(error, scope))

    def _tell_at_once(self, events: Sequence[Heard]) -> bool:
        """Tell what comes while `_tell` waits for it, unless something is in the way; say whether it was."""
        if not self._flows or (self._filling is not None and not self._filling.done()):
            return False
        try:
            if data := self._stream.receive(events):
                self._flows = self._put(data)
                self._speaks_at = self._clock() + self._patience
        except Exception as error:
            self._untended = error
            self._turn.leave()
        return True

    def _mind_silence(self) -> None:
        """Speak where nobody did for long; else lie down again, which is cheaper than a timer per batch."""
        if self._begun and self._pace.keep_alive is KeepAlive.OFF:
            return
        if self._writing:  # which its reader holds up
            self._speaks_at = self._clock() + self._patience
        if self._clock() < self._speaks_at:
            self._lie_down()
        else:
            self._filling = self._loop.create_task(self._fill())

    def _lie_down(self) -> None:
        self._silence.cancel()
        self._minds_at = self._speaks_at
        self._silence = self._loop.call_at(self._minds_at, self._mind_silence)

    async def _fill(self) -> None:
        """Open an answer whose acceptance takes long, later keep it alive; leave the turn where it fails."""
        try:
            if not self._stream.finished:
                await self._write(self._filler())
                self._speaks_at = self._clock() + self._patience
                self._mind_silence()
        except Exception as error:
            self._untended = error
            self._turn.leave()

    def _filler(self) -> bytes:
        if not self._begun:
            return self._stream.open()
        return COMMENT if self._pace.keep_alive is KeepAlive.COMMENT else self._stream.keep_alive()

    async def _fail(self, error: ApiError) -> None:
        if self._begun:
            await self._write(self._stream.abandon(error))
        else:
            await send_json(self._send, error.status, error.body(), [*error.headers(), *self._extra])

    async def _write(self, data: bytes) -> None:
        if not data and not self._stream.finished:
            return
        if not self._begun:
            self._begun = True
            self._speaks_at = self._clock() + self._patience
            if self._speaks_at < self._minds_at:  # a handle of uvloop may have no `when`
                self._lie_down()
            headers = [*_STREAM_HEADERS, *self._extra]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        more = not self._stream.finished
        await self._send_on({"type": "http.response.body", "body": data, "more_body": more})
        self._flows = True
        self._speaks_at = self._clock() + self._patience
