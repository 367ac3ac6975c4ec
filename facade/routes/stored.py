"""GET, DELETE and cancel of stored responses, and their input (openai-surface.md §7.4)."""

from dataclasses import replace

from howler.response.v1.response_service_pb2 import Response as Stored
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from facade.errors import ApiError
from facade.openai.continuation import input_of
from facade.openai.emulation import follow_up_of
from facade.openai.kept import Kept, unique_of
from facade.openai.shown_items import shown_input
from facade.routes.front import Caller, Front, json_answer
from facade.routes.library import Library
from facade.routes.paging import Paging, number_of
from facade.sse import KeepAlive, Logged, TurnStream


def stored_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""
    library = Library(front)

    async def found(request: Request) -> Stored:
        return await library.find(request.path_params["response_id"], Caller.of(request).principal)

    async def retrieve(request: Request) -> ASGIApp:
        stored = await found(request)
        if request.query_params.get("stream", "").lower() != "true":
            return json_answer(await library.now(stored))
        after = number_of(request.query_params, "starting_after", -1)
        turn, stream = library.follow(stored, after)
        # Its silences are in its log: one of our own would shift the numbers of what follows.
        return TurnStream(turn, Logged(stream), [], replace(front.pace, keep_alive=KeepAlive.COMMENT))

    async def delete(request: Request) -> Response:
        stored = await found(request)
        await front.backend.memory.forget(stored.response_id, stored.principal)
        return json_answer({"id": stored.response_id, "object": "response", "deleted": True})

    async def cancel(request: Request) -> Response:
        stored = await found(request)
        for turn_id in (stored.turn_id, follow_up_of(stored.turn_id)):
            await _cancel(front, turn_id, Caller.of(request).request_id)
        return json_answer(await library.over(stored))  # its end may be on the way into the log yet

    async def input_items(request: Request) -> Response:
        stored = await found(request)
        own = input_of(stored.request)[Kept.of(stored).before :]
        shown = shown_input(own, unique_of(stored.response_id))
        return json_answer(Paging.of(request.query_params).page(shown))

    one = "/v1/responses/{response_id}"
    return [
        Route(one, retrieve, methods=["GET"]),
        Route(one, delete, methods=["DELETE"]),
        Route(f"{one}/cancel", cancel, methods=["POST"]),
        Route(f"{one}/input_items", input_items, methods=["GET"]),
    ]


async def _cancel(front: Front, turn_id: str, request: str) -> None:
    """Interrupt a turn; one that is not there is not in the way."""
    try:
        await front.backend.cancel(turn_id, request)
    except ApiError as error:
        if error.status != 404:
            raise
