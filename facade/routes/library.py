"""Stored responses as the routes use them: found again, told again, looked at."""

import asyncio
from collections.abc import Mapping

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.response.v1.response_service_pb2 import Response

from facade.errors import ApiError, invalid
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.continuation import References, Said, input_of
from facade.openai.emulation import follow_up_of
from facade.openai.kept import Kept, unique_of
from facade.openai.responses_request import read_responses
from facade.openai.responses_stream import ResponsesStream
from facade.openai.shown_items import own_input
from facade.openai.start import start_turn
from facade.routes.again import PAUSE, Again
from facade.routes.front import Front
from facade.routes.turns import turn_of
from facade.sse import Turn


class Library:
    """The stored responses; each is its principal's alone."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def find(self, response_id: str, principal: str) -> Response:
        """Return what was kept of a response; raises the 404."""
        response = await self._front.backend.memory.response(response_id, principal)
        if Kept.of(response).alone:
            raise ApiError.of(ErrorReason.ERROR_REASON_RESPONSE_NOT_FOUND)
        return response

    async def items(self, response_id: str, principal: str) -> list[dict[str, object]]:
        """Return what a response put into its conversation: its input, and its output once it is over."""
        response = await self._front.backend.memory.response(response_id, principal)
        own = input_of(response.request)[Kept.of(response).before :]
        asked = own_input(own, unique_of(response_id))
        try:
            told = await self.now(response)
        except ApiError as error:
            if error.status != 404:
                raise
            return asked
        output = told["output"]
        assert isinstance(output, list), "an output is a list of items"
        return asked if told["status"] in ("queued", "in_progress") else [*asked, *output]

    def follow(self, response: Response, after: int = -1) -> tuple[Turn, ResponsesStream]:
        """Return the turn of a response, to be followed to its end, and the machine that tells it.

        It is told as at first. The events up to number `after` are not told.
        """
        backend = self._front.backend
        return self._told(response, Again(backend.watch, backend.memory, response.turn_id, PAUSE), after)

    def _told(self, response: Response, again: Again, after: int = -1) -> tuple[Turn, ResponsesStream]:
        kept, unique = Kept.of(response), unique_of(response.response_id)
        wanted = read_responses(bytes(kept.body), ClientToolsMode(kept.client_tools))
        start = start_turn(wanted.asked, self._front.rules, response.principal, "")
        start.turn_id = response.turn_id
        model = wanted.asked.named()
        stream = ResponsesStream(unique, kept.created_at, model, wanted.echo, kept.shown, after)
        return turn_of(again, wanted.asked, start), stream

    async def now(self, response: Response) -> dict[str, object]:
        """Return a response as it is by now; raises the 404 where nobody knows its turn any more."""
        backend = self._front.backend
        return await _folded(*self._told(response, Again(backend.look_at, backend.memory, response.turn_id)))

    async def over(self, response: Response) -> dict[str, object]:
        """Return a response when it is over; raises the 404 where nobody knows its turn any more."""
        return await _folded(*self.follow(response))

    async def said(
        self, references: References, principal: str, spoken: Mapping[str, Said]
    ) -> Mapping[str, Said]:
        """Return the responses that a request refers to, as far as they are there.

        Those in `spoken` are known already. Raises the 400 for the one that it continues.
        """
        wanted = {references.previous, *references.items} - {"", *spoken}
        found = await asyncio.gather(*(self._said(response_id, principal) for response_id in wanted))
        said = dict(spoken)
        said.update((name, one) for name, one in zip(wanted, found, strict=True) if one is not None)
        if references.previous and references.previous not in said:
            raise _lost()
        return said  # a reference to an item that is not there is refused by who resolves it

    async def _said(self, response_id: str, principal: str) -> Said | None:
        """Return a response that is referred to; None where it is not there."""
        try:
            response = await self.find(response_id, principal)
            output = (await self.now(response))["output"]
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        assert isinstance(output, list), "an output is a list of items"
        turns = (response.turn_id, follow_up_of(response.turn_id))
        return Said(input_of(response.request), output, turns)


async def _folded(turn: Turn, stream: ResponsesStream) -> dict[str, object]:
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


def _lost() -> ApiError:
    what = "There is no stored response of this id."
    return invalid(what, "previous_response_id", "previous_response_not_found")
