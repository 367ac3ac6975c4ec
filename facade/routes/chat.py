"""POST /v1/chat/completions."""

import time
import uuid

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from facade.openai.chat_request import read_chat
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold
from facade.openai.start import ignored_of, start_turn
from facade.routes.front import Front, ignored_header, principal, read_body, request_id
from facade.sse import TurnAnswer, TurnStream


def chat_routes(front: Front) -> APIRouter:
    """Return the route, bound to the facade's parts."""
    router = APIRouter()

    @router.post("/v1/chat/completions", response_model=None)
    async def create(request: Request) -> Response:
        wanted = read_chat(await read_body(request, front.max_body_bytes))
        asked = wanted.asked
        start = start_turn(asked, front.rules, principal(request), request_id(request))
        headers = ignored_header(ignored_of(asked, front.rules))
        completion_id, created, model = f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), asked.named()
        turn = front.backend.start(start)
        if asked.stream:
            stream = ChatStream(completion_id, created, model, include_usage=wanted.include_usage)
            return TurnStream(turn, stream, headers, front.pace)
        return TurnAnswer(turn, ChatFold(completion_id, created, model), headers)

    return router
