"""POST /v1/responses and /v1/responses/input_tokens."""

import time
import uuid
from dataclasses import dataclass

from howler.response.v1.response_service_pb2 import Response as Stored
from howler.task.v1.start_turn_pb2 import StartTurn
from msgspec import Raw
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from facade.errors import ApiError
from facade.openai.attempts import mark_attempt
from facade.openai.auxiliary import auxiliary_answer
from facade.openai.continuation import references_of, written_out
from facade.openai.fold import ResponsesFold
from facade.openai.hints import read_hints
from facade.openai.input_tokens import input_tokens
from facade.openai.kept import Kept, bind
from facade.openai.memory import memory_of
from facade.openai.responses_request import ResponsesRequest, read_responses
from facade.openai.responses_stream import ResponsesStream
from facade.openai.start import ignored_of, start_turn
from facade.openai.told import told_turn
from facade.routes.front import Front, ignored_header, json_answer, principal, read_body, request_id
from facade.routes.keeping import Errands, KeptTurn
from facade.routes.library import Library
from facade.routes.turns import turn_of
from facade.sse import Header, KeepAlive, Logged, ToldTurn, Turn, TurnAnswer, TurnStream


def responses_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""
    library, errands = Library(front), Errands()

    async def create(request: Request) -> ASGIApp:
        body = await read_body(request, front.max_body_bytes)
        asking = await _read(front, library, request, body)
        if (answer := auxiliary_answer(asking.wanted.asked, read_hints(request.headers, body))) is not None:
            return _answer(front, asking, ToldTurn(told_turn(answer, asking.wanted.asked.named())))
        turn = turn_of(front.backend, asking.wanted.asked, asking.start)
        if asking.kept is None:
            return _answer(front, asking, turn)
        if not asking.wanted.echo.background:
            return _answer(front, asking, KeptTurn(turn, asking.kept, front.backend))
        await front.backend.memory.keep(asking.kept)
        if asking.wanted.asked.stream:
            return _answer(front, asking, turn)
        try:
            await errands.send(turn, asking.start.turn_id, front.backend, alone=asking.is_one_turn)
        except ApiError:
            await front.backend.memory.forget(asking.kept.response_id, asking.kept.principal)
            raise
        return json_answer(asking.stream.now(), asking.headers)

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


@dataclass(frozen=True, slots=True)
class _Asking:
    """A request, read: the turn to start, the machine that tells it, and what to keep of it."""

    wanted: ResponsesRequest
    start: StartTurn
    stream: ResponsesStream
    headers: list[Header]
    kept: Stored | None

    @property
    def is_one_turn(self) -> bool:
        """No second turn can mend the first one's answer."""
        return self.wanted.asked.client_tools is None and self.wanted.asked.json_format is None


async def _read(front: Front, library: Library, request: Request, body: bytes) -> _Asking:
    """Read a request, with what it refers to. Raises the 400."""
    who, mode = principal(request), front.rules.client_tools.asked_by(request.headers)
    references, before = references_of(body), 0
    if references.previous or references.items:
        body, before = written_out(body, await library.said(references, who))
    wanted = read_responses(body, mode)
    asked, echo = wanted.asked, wanted.echo
    memory = memory_of(keep_chats=front.rules.keep_chats, conversation=echo.conversation)
    start = start_turn(asked, front.rules, who, request_id(request), memory)
    if not echo.background:  # which is answered at once, and asked about by its id
        mark_attempt(start, request.headers)
    shown = front.presentation.asked_by(request.headers)
    unique, now = uuid.uuid4().hex, int(time.time())
    kept = None
    if echo.store:
        logs_silence = front.pace.keep_alive is KeepAlive.EVENT
        silence = front.pace.keep_alive_after if logs_silence else None
        bind(start, unique, background=echo.background, keep_alive=silence)
        told = Kept(Raw(body), before, now, mode.value, shown, echo.previous_response_id, echo.conversation)
        kept = told.response(unique, who)
    stream = ResponsesStream(unique, now, asked.named(), echo, shown)
    return _Asking(wanted, start, stream, ignored_header(ignored_of(asked, front.rules)), kept)


def _answer(front: Front, asking: _Asking, turn: Turn) -> ASGIApp:
    if not asking.wanted.asked.stream:
        return TurnAnswer(turn, ResponsesFold(asking.stream), asking.headers, front.response_padding)
    stream = asking.stream if asking.kept is None else Logged(asking.stream)
    return TurnStream(turn, stream, asking.headers, front.pace)
