"""Says something to the agent of a response while it runs: the response ends, another goes on from it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec

from facade.errors import ApiError
from facade.openai.responses_request import read_responses
from facade.openai.socket_frame import Steer
from facade.routes.answering import Asking

_log = logging.getLogger(__name__)


class Steering:
    """What is to be said on one connection; `interrupt` ends a turn of the server, whose task stays.

    The platform takes no word that an answer would tell of, so the turn is interrupted and the word
    is the next one's prompt, on the same task.
    """

    def __init__(self, interrupt: Callable[[str], Awaitable[None]]) -> None:
        self._interrupt = interrupt
        self._running: Asking | None = None
        self._accepted: list[Steer] = []
        self._interrupting: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, asking: Asking) -> Iterator[list[Steer]]:
        """Let a response be steered while it is told; gives what is to be said behind it."""
        self._running, self._accepted = asking, []
        try:
            yield self._accepted
        finally:
            self._running = None
            self._stop()

    def take(self, steer: Steer) -> str:
        """Accept a word or not; return the event that says which."""
        asking = self._running
        if asking is None or asking.stream.id != steer.previous:
            return steer.failed("response_not_found", "No such response runs on this connection.")
        if not asking.is_one_turn or asking.wanted.echo.conversation or not asking.stream.turn_id:
            return steer.failed("steering_not_supported", "This response cannot be steered.")
        try:
            read_responses(msgspec.json.encode({"input": steer.input}))
        except ApiError as error:
            return steer.failed("invalid_input", error.message)
        self._accepted.append(steer)
        asking.stream.steered = True
        if self._interrupting is None:
            self._interrupting = asyncio.create_task(self._end(asking.stream.turn_id))
        return steer.accepted()

    def _stop(self) -> None:
        interrupting, self._interrupting = self._interrupting, None
        if interrupting is not None:
            interrupting.cancel()

    async def _end(self, turn_id: str) -> None:
        try:
            await self._interrupt(turn_id)
        except ApiError as error:
            _log.warning("a turn that is steered goes on to its end: %s", error.message)
