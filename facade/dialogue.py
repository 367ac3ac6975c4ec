"""Several turns that make one answer: to those who tell it they are one turn.

A turn that has said all that counts is interrupted; one that has ended may be
followed by another. What is said, and when, is the script's to decide; both
ways of answering (sse) read a dialogue as they read a turn.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.errors import ApiError
from facade.openai.heard import Heard

_log = logging.getLogger(__name__)


class AgentTurn(Protocol):
    """A running turn, as the server tells it (sse.Turn says how one is read)."""

    def __aiter__(self) -> AsyncIterator[Sequence[TaskEvent]]: ...

    def at_once(self, take: Callable[[Sequence[TaskEvent]], bool]) -> None:
        """Let `take` have batches as they come."""

    def leave(self) -> None:
        """Leave it, which ends the iteration."""


class Peer(Protocol):
    """The server, as far as a dialogue needs it."""

    def start(self, start: StartTurn) -> AgentTurn:
        """Start a turn and follow it."""

    async def cancel(self, turn_id: str, request_id: str) -> None:
        """Interrupt a turn, whose task stays; return when it is over. Raises ApiError."""

    async def retell(self, request: RetellRequest) -> None:
        """Have a conversation recognised by what its caller was told. Raises ApiError."""


class Script(Protocol):
    """Decides what the turns come to."""

    @property
    def start(self) -> StartTurn:
        """The first turn."""

    @property
    def turn_to_cut(self) -> str:
        """The id of the running turn, where it has said all that counts; else empty."""

    def receive(self, events: Sequence[TaskEvent]) -> list[Heard]:
        """Take events of the running turn; return what they mean for the answer."""

    def follow_up(self) -> StartTurn | None:
        """Return the turn to run now that the one before has ended; None where the answer is complete."""

    def retelling(self) -> RetellRequest | None:
        """Return how the conversation goes by what the client was told; None where it needs no telling."""

    def give_up(self) -> list[Heard]:
        """Return the rest of the answer, where nothing more of the running turn will be heard."""


class Dialogue:
    """The turns of one answer, one after the other: batches of what they mean.

    Fails with ApiError where the first turn does without telling an event. Where
    a later one does, the answer ends with what there is.
    """

    def __init__(self, script: Script, peer: Peer) -> None:
        self._script = script
        self._peer = peer
        self._turn = peer.start(script.start)
        self._events = aiter(self._turn)
        self._follows = False
        self._retold = False
        self._left = False
        self._stuck = False  # what should be interrupted was not, and is heard of no more
        self._cutting: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[Sequence[Heard]]:
        return self

    async def __anext__(self) -> Sequence[Heard]:
        """Return the next batch that says something."""
        while True:
            try:
                events = await anext(self._events)
            except StopAsyncIteration:
                if not self._stuck or self._left:
                    raise
                return self._rest()
            except ApiError:
                if self._left or not (self._follows or self._cutting):
                    raise
                return self._rest()
            told = self._script.receive(events)
            self._go_on()
            await self._retell()
            if told:
                return told

    def at_once(self, take: Callable[[Sequence[Heard]], bool]) -> None:
        """Offer nothing: what goes on is the script's to say, which may have to wait."""

    def leave(self) -> None:
        """Leave the turn that runs, and start no other."""
        self._left = True
        self._turn.leave()
        if self._cutting is not None:
            self._cutting.cancel()

    def _rest(self) -> list[Heard]:
        """Return the end of an answer whose running turn is heard of no more."""
        self._left = True
        return self._script.give_up()

    async def _retell(self) -> None:
        """Say what the client was told, before it can send it back."""
        request = None if self._retold else self._script.retelling()
        if request is None:
            return
        self._retold = True
        try:
            await self._peer.retell(request)
        except ApiError as error:
            _log.warning("a conversation will not be recognised by its calls: %s", error.message)

    def _go_on(self) -> None:
        """Interrupt the turn that has said enough; start the one that follows."""
        turn_id = self._script.turn_to_cut
        if turn_id and self._cutting is None:
            self._cutting = asyncio.create_task(self._cut(turn_id))
        following = self._script.follow_up()
        if following is not None and not self._left:
            self._turn.leave()
            if self._cutting is not None:
                self._cutting.cancel()  # what it interrupts is over
            self._turn, self._cutting, self._follows = self._peer.start(following), None, True
            self._events = aiter(self._turn)

    async def _cut(self, turn_id: str) -> None:
        try:
            await self._peer.cancel(turn_id, self._script.start.request_id)
        except ApiError as error:
            _log.warning("a turn that has said enough was not interrupted: %s", error.message)
            self._stuck = True
            self._turn.leave()
