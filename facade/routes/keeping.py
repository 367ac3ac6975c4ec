"""Keeps a response before anybody is told of it, and runs the ones that need no listener."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from howler.response.v1.response_service_pb2 import Response
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.backend import Backend
from facade.errors import ApiError
from facade.openai.heard import Heard
from facade.sse import Turn

_log = logging.getLogger(__name__)
_PAUSE: Final = 0.02  # seconds between looks whether the server has a turn that it was asked for
_PATIENCE: Final = 5.0  # seconds until it must have it


class KeptTurn:
    """A turn whose response is kept once the turn is accepted, and before that is told."""

    def __init__(self, turn: Turn, response: Response, backend: Backend) -> None:
        self._turn = turn
        self._events = aiter(turn)
        self._response: Response | None = response
        self._backend = backend
        self._take: Callable[[Sequence[Heard]], bool] | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[Heard]]:
        return self

    async def __anext__(self) -> Sequence[Heard]:
        """Return the next batch."""
        events = await anext(self._events)
        if self._response is not None:
            response, self._response = self._response, None
            for event in events[:1]:
                if isinstance(event, TaskEvent) and event.accepted.turn_id:
                    response.turn_id = event.accepted.turn_id  # an earlier one, where this was a retry
            await self._backend.memory.keep(response)
            if self._take is not None:
                self._turn.at_once(self._take)
        return events

    def at_once(self, take: Callable[[Sequence[Heard]], bool]) -> None:
        """Let `take` have batches as they come, once the response is kept."""
        self._take = take

    def leave(self) -> None:
        """See Turn."""
        self._take = None  # who listens refers to this: no circle is left
        self._turn.leave()


class Errands:
    """Turns of background responses that are carried on without a listener.

    The server runs a turn to its end by itself. Where more than one turn may make the answer, somebody must
    start the second: this process does, as long as it lives.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def send(self, turn: Turn, turn_id: str, backend: Backend, *, alone: bool) -> None:
        """Return once the server has the turn, which goes on. `alone` says that no other can follow it.

        Raises ApiError where the server refused it at once, or cannot be asked.
        """
        following = asyncio.create_task(_follow(turn))
        self._running.add(following)
        following.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(_PATIENCE):
                while not following.done() and not await _has(backend, turn_id):
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            turn.leave()
            raise ApiError(503, "server_error", "service_unavailable", "The turn was not taken on.") from None
        except ApiError:
            turn.leave()
            raise
        if following.done():
            following.result()
        elif alone:
            turn.leave()
        else:
            following.add_done_callback(_note_failure)


async def _follow(turn: Turn) -> None:
    async for _ in turn:
        pass


def _note_failure(following: asyncio.Task[None]) -> None:
    """Log what nobody listens to any more; who looks at the response reads its turns' ends in their logs."""
    error = None if following.cancelled() else following.exception()
    if isinstance(error, ApiError):
        _log.warning("a background response is carried on no further: %s", error.message)
    elif error is not None:
        _log.error("a background response is carried on no further", exc_info=error)


async def _has(backend: Backend, turn_id: str) -> bool:
    try:
        await backend.memory.turn(turn_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True
