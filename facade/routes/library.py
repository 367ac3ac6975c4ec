"""Stored responses as the routes use them: found again, told again, looked at."""

from collections.abc import Callable, Mapping

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.response.v1.response_service_pb2 import Response
from howler.task.v1.start_turn_pb2 import StartTurn

from facade.dialogue import AgentTurn
from facade.errors import ApiError, invalid
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.continuation import References, Said, input_of, no_item
from facade.openai.emulation import follow_up_of
from facade.openai.kept import Kept, unique_of
from facade.openai.responses_request import read_responses
from facade.openai.responses_stream import ResponsesStream
from facade.openai.start import start_turn
from facade.routes.front import Front
from facade.routes.turns import turn_of
from facade.sse import Turn

Find = Callable[[str], AgentTurn]
"""Finds a turn by its id: to follow it to its end, or to read what it has told by now."""


class Library:
    """The stored responses; each is its principal's alone."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def find(self, response_id: str, principal: str) -> Response:
        """Return what was kept of a response; raises the 404."""
        return await self._front.backend.memory.response(response_id, principal)

    def told(self, response: Response, find: Find, after: int = -1) -> tuple[Turn, ResponsesStream]:
        """Return the turn of a response, as `find` finds it, and the machine that tells it as at first.

        The events up to number `after` are not told.
        """
        kept, unique = Kept.of(response), unique_of(response.response_id)
        wanted = read_responses(bytes(kept.body), ClientToolsMode(kept.client_tools))
        start = start_turn(wanted.asked, self._front.rules, response.principal, "")
        start.turn_id = response.turn_id
        model = wanted.asked.named()
        stream = ResponsesStream(unique, kept.created_at, model, wanted.echo, kept.shown, after)
        return turn_of(_Again(find), wanted.asked, start), stream

    async def now(self, response: Response) -> dict[str, object]:
        """Return a response as it is by now; raises the 404 where nobody knows its turn any more."""
        turn, stream = self.told(response, self._front.backend.look_at)
        try:
            async for events in turn:
                stream.receive(events)
        except ApiError as error:
            if error.status == 404 and not stream.begun:
                raise
            stream.abandon(error)
        finally:
            turn.leave()
        return stream.now()

    async def said(
        self, references: References, principal: str, spoken: Mapping[str, Said]
    ) -> Mapping[str, Said]:
        """Return the responses that a request refers to; raises the 400 for one that is not there.

        Those in `spoken` are known already.
        """
        said = dict(spoken)
        for response_id in {references.previous, *references.items} - {"", *spoken}:
            try:
                response = await self.find(response_id, principal)
                output = (await self.now(response))["output"]
            except ApiError as error:
                if error.status != 404:
                    raise
                raise _missing(response_id, references) from None
            assert isinstance(output, list), "an output is a list of items"
            turns = (response.turn_id, follow_up_of(response.turn_id))
            said[response_id] = Said(input_of(response.request), output, turns)
        return said


class _Again:
    """The server's part in a dialogue that is told again: its turns are found, and nothing is said anew."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def start(self, start: StartTurn) -> AgentTurn:
        """Find the turn that was started so."""
        return self._find(start.turn_id)

    async def cancel(self, turn_id: str, request_id: str) -> None:
        """Leave that to whoever told it first."""

    async def retell(self, request: RetellRequest) -> None:
        """Leave that to whoever told it first."""


def _missing(response_id: str, references: References) -> ApiError:
    if response_id == references.previous:
        return invalid(
            "There is no stored response of this id.", "previous_response_id", "previous_response_not_found"
        )
    return no_item("input")
