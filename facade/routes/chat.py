"""POST /v1/chat/completions."""

import time

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from facade.ids import new_id
from facade.openai.attempts import mark_attempt
from facade.openai.auxiliary import auxiliary_answer
from facade.openai.chat_request import read_chat
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold
from facade.openai.hints import read_hints
from facade.openai.memory import memory_of
from facade.openai.start import ignored_of, start_turn
from facade.openai.told import told_turn
from facade.routes.front import Caller, Front, ignored_header, read_body
from facade.routes.turns import turn_of
from facade.sse import ToldTurn, TurnAnswer, TurnStream


def chat_routes(front: Front) -> list[BaseRoute]:
    """Return the route, bound to the facade's parts."""

    async def create(request: Request) -> TurnStream | TurnAnswer:
        body, caller = await read_body(request, front.max_body_bytes), Caller.of(request)
        wanted = read_chat(body, front.rules.client_tools.asked_by(caller.headers))
        asked = wanted.asked
        hints = read_hints(caller.headers, wanted.members)
        memory = memory_of(asked.conversation.messages, hints, keep_chats=front.rules.keep_chats)
        start = start_turn(asked, front.rules, caller.principal, caller.request_id, memory)
        mark_attempt(start, hints)
        headers = ignored_header(ignored_of(asked, front.rules))
        completion_id, created, model = f"chatcmpl-{new_id()}", int(time.time()), asked.named()
        shown = front.presentation.asked_by(caller.headers)
        answer = auxiliary_answer(asked, hints)
        turn = (
            turn_of(front.backend, asked, start)
            if answer is None
            else ToldTurn(told_turn(answer, asked.named()))
        )
        if asked.stream:
            stream = ChatStream(completion_id, created, model, shown, include_usage=wanted.include_usage)
            return TurnStream(turn, stream, headers, front.pace)
        return TurnAnswer(turn, ChatFold(completion_id, created, model, shown), headers, front.chat_padding)

    return [Route("/v1/chat/completions", create, methods=["POST"])]
