"""Answers a turn whole over raw ASGI, when it is over. What it failed of is an HTTP status.

An answer that takes long may begin before it is known: status 200 and blanks,
which JSON allows before a value, for proxies and clients give up on a connection
that says nothing. Its failure stands in the body then.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from facade.errors import ApiError
from facade.openai.heard import Heard
from facade.sse.asgi import Header, Turn, cancelled, send_json, told_by, watch
from facade.sse.pace import Padding


class Fold(Protocol):
    """A machine that folds a turn into one answer."""

    @property
    def finished(self) -> bool:
        """The turn is over."""

    def receive(self, events: Iterable[Heard]) -> None:
        """Take events in order."""

    def answer(self) -> bytes:
        """Return the answer as JSON; raises what the turn failed of."""

    def failure_body(self, error: ApiError) -> bytes:
        """Return what tells the failure where the status, 200, was told already."""


class TurnAnswer:
    """The whole answer to one request, told when the turn is over; `padding` says when it begins before."""

    def __init__(self, turn: Turn, fold: Fold, headers: list[Header], padding: Padding | None = None) -> None:
        self._turn = turn
        self._fold = fold
        self._extra = headers
        self._padding = padding
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the turn is over; nobody is answered who left before."""
        gone = watch(scope, receive, self._turn.leave)
        padding = None if self._padding is None else asyncio.create_task(self._pad(send, self._padding))
        try:
            outcome = await self._outcome(scope)
            await cancelled(padding)
            if isinstance(outcome, ApiError):
                await self._fail(send, outcome)
            elif outcome is not None:
                await self._tell(send, outcome)
        finally:
            self._turn.leave()
            await cancelled(gone, padding)

    async def _outcome(self, scope: Scope) -> bytes | ApiError | None:
        """Return the answer or the failure; None where the turn was left."""
        try:
            async for events in self._turn:
                self._fold.receive(events)
                if self._fold.finished:
                    return self._fold.answer()
        except Exception as error:
            return told_by(error, scope)
        return None

    async def _pad(self, send: Send, padding: Padding) -> None:
        await asyncio.sleep(padding.after)
        headers = [(b"content-type", b"application/json"), (b"x-accel-buffering", b"no"), *self._extra]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._begun = True
        while True:
            await send({"type": "http.response.body", "body": b" \n", "more_body": True})
            await asyncio.sleep(padding.every)

    async def _tell(self, send: Send, body: bytes) -> None:
        if self._begun:
            await send({"type": "http.response.body", "body": body})
        else:
            await send_json(send, 200, body, self._extra)

    async def _fail(self, send: Send, error: ApiError) -> None:
        if self._begun:
            await self._tell(send, self._fold.failure_body(error))
        else:
            await send_json(send, error.status, error.body(), [*error.headers(), *self._extra])
