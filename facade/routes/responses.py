"""POST /v1/responses and /v1/responses/input_tokens; the WebSocket of /v1/responses."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from facade.errors import ApiError
from facade.openai.input_tokens import input_tokens
from facade.openai.responses_request import read_responses
from facade.routes.answering import Answering
from facade.routes.front import Caller, Front, read_body
from facade.routes.line import Line


def responses_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""
    answering = Answering(front)

    async def create(request: Request) -> ASGIApp:
        body = await read_body(request, front.max_body_bytes)
        return await answering.answer(await answering.read(Caller.of(request), body))

    async def count(request: Request) -> Response:
        wanted = read_responses(await read_body(request, front.max_body_bytes))
        return Response(input_tokens(wanted.asked), media_type="application/json")

    async def compact(_: Request) -> Response:
        """Know no such path: a conversation's agent keeps its history itself."""
        raise HTTPException(404)

    async def connect(socket: WebSocket) -> None:
        if front.responses_websocket:
            await Line(front, answering, socket).serve()
        else:
            await _refuse(socket)

    return [
        Route("/v1/responses", create, methods=["POST"]),
        Route("/v1/responses/input_tokens", count, methods=["POST"]),
        Route("/v1/responses/compact", compact, methods=["POST"]),
        WebSocketRoute("/v1/responses", connect),
    ]


async def _refuse(socket: WebSocket) -> None:
    """Answer 426: Codex falls back to HTTP at once then; a 404 makes it try seven times."""
    error = ApiError(426, "invalid_request_error", "upgrade_required", "Use HTTP POST on this path.")
    await socket.send_denial_response(Response(error.body(), status_code=426, media_type="application/json"))
