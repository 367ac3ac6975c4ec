"""Answers a turn whole over raw ASGI, when it is over. What it failed of is an HTTP status."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from howler.task.v1.task_event_pb2 import TaskEvent
from starlette.types import Receive, Scope, Send

from facade.sse.asgi import Header, Turn, cancelled, send_json, told_by, until_gone


class Fold(Protocol):
    """A machine that folds a turn into one answer."""

    @property
    def finished(self) -> bool:
        """The turn is over."""

    def receive(self, events: Iterable[TaskEvent]) -> None:
        """Take events in order."""

    def answer(self) -> bytes:
        """Return the answer as JSON; raises what the turn failed of."""


class TurnAnswer:
    """The whole answer to one request, told when the turn is over."""

    def __init__(self, turn: Turn, fold: Fold, headers: list[Header]) -> None:
        self._turn = turn
        self._fold = fold
        self._extra = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the turn is over; nobody is answered who left before."""
        gone = asyncio.create_task(until_gone(receive, self._turn.leave))
        try:
            outcome = await self._outcome(scope)
            if outcome is not None:
                status, body, headers = outcome
                await send_json(send, status, body, [*headers, *self._extra])
        finally:
            self._turn.leave()
            await cancelled(gone)

    async def _outcome(self, scope: Scope) -> tuple[int, bytes, list[Header]] | None:
        """Return status, body and headers of the answer or the failure; None where the turn was left."""
        try:
            async for events in self._turn:
                self._fold.receive(events)
                if self._fold.finished:
                    return 200, self._fold.answer(), []
        except Exception as error:
            failure = told_by(error, scope)
            return failure.status, failure.body(), failure.headers()
        return None
