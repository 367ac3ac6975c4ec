"""POST /v1/completions, for clients of the API before chats."""

import time

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from facade.ids import new_id
from facade.openai.completion_request import read_completion
from facade.openai.completion_stream import CompletionFold, CompletionStream
from facade.openai.hints import read_hints
from facade.openai.memory import memory_of
from facade.openai.start import ignored_of, start_turn
from facade.openai.wire import members_of
from facade.routes.front import Caller, Front, ignored_header, read_body
from facade.sse import TurnAnswer, TurnStream


def completion_routes(front: Front) -> list[BaseRoute]:
    """Return the route, bound to the facade's parts."""

    async def create(request: Request) -> TurnStream | TurnAnswer:
        body, caller = await read_body(request, front.max_body_bytes), Caller.of(request)
        wanted = read_completion(body)
        asked, hints = wanted.asked, read_hints(caller.headers, members_of(body))
        memory = memory_of(asked.conversation.messages, hints, keep_chats=False)  # a prompt tells no history
        start = start_turn(asked, front.rules, caller.principal, caller.request_id, memory)
        headers = ignored_header(ignored_of(asked, front.rules))
        told = f"cmpl-{new_id()}", int(time.time()), asked.named()
        shown = front.presentation.asked_by(caller.headers)
        turn = front.backend.start(start)
        if asked.stream:
            stream = CompletionStream(*told, shown, include_usage=wanted.include_usage)
            return TurnStream(turn, stream, headers, front.pace)
        return TurnAnswer(turn, CompletionFold(*told, shown), headers, front.chat_padding)

    return [Route("/v1/completions", create, methods=["POST"])]
