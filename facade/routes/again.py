"""Finds the turns of a stored response, which were told once, to be told again."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.backend.memory import Memory
from facade.dialogue import AgentTurn
from facade.errors import ApiError

PAUSE: Final = 0.05
"""Seconds between looks for a turn that is about to be started."""

_SOON: Final = 5.0
"""Seconds after the end of the turn before it, within which it is."""


class Again:
    """The server's part in a dialogue that is told again: its turns are found, and nothing is said anew.

    The second one is waited for, looked for every `pause` seconds; where that is None it is not.
    """

    def __init__(
        self, find: Callable[[str], AgentTurn], memory: Memory, first: str, pause: float | None = None
    ) -> None:
        self._find = find
        self._memory = memory
        self._first = first
        self._pause = pause

    def start(self, start: StartTurn) -> AgentTurn:
        """Find the turn that was started so."""
        if start.turn_id == self._first:
            return self._find(start.turn_id)
        return _SecondTurn(lambda: self._find(start.turn_id), self._comes, self._pause)

    async def _comes(self) -> bool:
        """Say whether the second turn may be about to be started, by whoever told the first one."""
        first = await self._memory.turn(self._first)
        return not first.HasField("end_time") or time.time() - first.end_time.seconds < _SOON

    async def cancel(self, turn_id: str, request_id: str) -> None:
        """Leave that to whoever told it first."""

    async def retell(self, request: RetellRequest) -> None:
        """Leave that to whoever told it first."""


class _SecondTurn:
    """A turn that may not have been started yet: without a `pause` it ends there, having said nothing."""

    def __init__(
        self, find: Callable[[], AgentTurn], comes: Callable[[], Awaitable[bool]], pause: float | None
    ) -> None:
        self._find = find
        self._comes = comes
        self._pause = pause
        self._heard = False
        self._left = False
        self._turn = find()
        self._events = aiter(self._turn)

    def __aiter__(self) -> AsyncIterator[Sequence[TaskEvent]]:
        return self

    async def __anext__(self) -> Sequence[TaskEvent]:
        """Return the next batch."""
        while True:
            try:
                events = await anext(self._events)
            except ApiError as error:
                if self._heard or error.status != 404 or not await self._comes():
                    raise
                if self._pause is None:
                    raise StopAsyncIteration from None
            else:
                self._heard = True
                return events
            await asyncio.sleep(self._pause)
            if self._left:
                raise StopAsyncIteration
            self._turn = self._find()
            self._events = aiter(self._turn)

    def at_once(self, take: Callable[[Sequence[TaskEvent]], bool]) -> None:
        """Offer nothing: whether it was started is learned from what is read."""

    def leave(self) -> None:
        """Leave it; look for it no more."""
        self._left = True
        self._turn.leave()
