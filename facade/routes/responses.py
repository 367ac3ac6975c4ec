"""POST /v1/responses and /v1/responses/input_tokens."""

import time
import uuid

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from facade.errors import ApiError
from facade.openai.auxiliary import auxiliary_answer
from facade.openai.fold import ResponsesFold
from facade.openai.hints import read_hints
from facade.openai.input_tokens import input_tokens
from facade.openai.memory import memory_of
from facade.openai.responses_request import read_responses
from facade.openai.responses_stream import ResponsesStream
from facade.openai.start import ignored_of, start_turn
from facade.openai.told import told_turn
from facade.routes.front import Front, ignored_header, principal, read_body, request_id
from facade.routes.turns import turn_of
from facade.sse import ToldTurn, TurnAnswer, TurnStream


def responses_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""

    async def create(request: Request) -> TurnStream | TurnAnswer:
        body = await read_body(request, front.max_body_bytes)
        wanted = read_responses(body, front.rules.client_tools.asked_by(request.headers))
        asked = wanted.asked
        memory = memory_of(keep_chats=front.rules.keep_chats)
        start = start_turn(asked, front.rules, principal(request), request_id(request), memory)
        headers = ignored_header(ignored_of(asked, front.rules))
        shown = front.presentation.asked_by(request.headers)
        stream = ResponsesStream(uuid.uuid4().hex, int(time.time()), asked.named(), wanted.echo, shown)
        answer = auxiliary_answer(asked, read_hints(request.headers, body))
        turn = turn_of(front, asked, start) if answer is None else ToldTurn(told_turn(answer, asked.named()))
        if asked.stream:
            return TurnStream(turn, stream, headers, front.pace)
        return TurnAnswer(turn, ResponsesFold(stream), headers, front.response_padding)

    async def count(request: Request) -> Response:
        wanted = read_responses(await read_body(request, front.max_body_bytes))
        return Response(input_tokens(wanted.asked), media_type="application/json")

    async def compact(_: Request) -> Response:
        """Know no such path: a conversation's agent keeps its history itself."""
        raise HTTPException(404)

    async def refuse(socket: WebSocket) -> None:
        """Answer 426: Codex falls back to HTTP at once then; a 404 makes it try seven times."""
        error = ApiError(426, "invalid_request_error", "upgrade_required", "Use HTTP POST on this path.")
        await socket.send_denial_response(
            Response(error.body(), status_code=426, media_type="application/json")
        )

    return [
        Route("/v1/responses", create, methods=["POST"]),
        Route("/v1/responses/input_tokens", count, methods=["POST"]),
        Route("/v1/responses/compact", compact, methods=["POST"]),
        WebSocketRoute("/v1/responses", refuse),
    ]
