"""Answers requests for responses, whichever way they come: POST or WebSocket."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.response.v1.response_service_pb2 import Response as Stored
from howler.task.v1.start_turn_pb2 import StartTurn
from msgspec import Raw
from starlette.types import ASGIApp

from facade.errors import ApiError
from facade.ids import new_id
from facade.openai.attempts import mark_attempt
from facade.openai.auxiliary import auxiliary_answer
from facade.openai.compaction import compacted
from facade.openai.continuation import (
    references_of,
    without_answer,
    without_conversation,
    written_out,
)
from facade.openai.fold import ResponsesFold
from facade.openai.hints import COMPACTION, Hints, read_hints
from facade.openai.kept import Kept, bind
from facade.openai.memory import Named, memory_of
from facade.openai.responses_request import ResponsesRequest, read_responses
from facade.openai.responses_stream import ResponsesStream
from facade.openai.start import ignored_of, start_turn
from facade.openai.told import told_turn
from facade.openai.wire import members_of
from facade.routes.contents import NONE_UNHEARD, Contents
from facade.routes.front import Caller, Front, ignored_header, json_answer
from facade.routes.keeping import Errands, KeptTurn
from facade.routes.library import Library
from facade.routes.turns import turn_of
from facade.sse import Header, KeepAlive, Logged, ToldTurn, Turn, TurnAnswer, TurnStream

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """A request, read: the turn to start, the machine that tells it, and what to keep of it.

    `body` is the request with what it refers to written out.
    """

    body: bytes
    wanted: ResponsesRequest
    hints: Hints
    start: StartTurn
    stream: ResponsesStream
    headers: list[Header]
    kept: Stored | None

    @property
    def is_one_turn(self) -> bool:
        """No second turn can mend the first one's answer."""
        return self.wanted.asked.client_tools is None and self.wanted.asked.json_format is None


class WrittenOut(NamedTuple):
    """A request with what it refers to.

    The first `before` items of its input come from there. `previous_turns` may have told the response that it
    continues. `items_heard` is the number of the last of the conversation's items in it, 0 for none.
    """

    body: bytes
    before: int = 0
    previous_turns: tuple[str, ...] = ()
    items_heard: int = 0


class Answering:
    """Reads requests for responses, and answers them."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._library = Library(front)
        self._contents = Contents(front, self._library)
        self._errands = Errands()

    async def written_out(self, caller: Caller, body: bytes) -> WrittenOut:
        """Return a request with what it refers to. Raises the 400."""
        references, unheard = references_of(body), NONE_UNHEARD
        if references.conversation:
            unheard = await self._contents.unheard(references.conversation, caller.principal)
        if not (references.previous or references.items or unheard.items):
            return WrittenOut(body)
        said = await self._library.said(references, caller.principal, caller.spoken)
        turns = said[references.previous].turns if references.previous else ()
        return WrittenOut(*written_out(body, said, unheard.items), turns, unheard.number)

    async def read(self, caller: Caller, body: bytes) -> Asking:
        """Read a request, with what it refers to. Raises the 400."""
        front, hints = self._front, read_hints(caller.headers, members_of(body))
        if hints.client_turn:
            body = without_answer(body)
        if hints.session:  # it goes before a conversation (§7.1)
            body = without_conversation(body)
        body, before, previous_turns, items_heard = await self.written_out(caller, body)
        mode = front.rules.client_tools.asked_by(caller.headers)
        wanted = read_responses(body, mode)
        asked, echo = wanted.asked, wanted.echo
        named = Named(previous_turns, echo.conversation or "")
        memory = memory_of(asked.conversation.messages, hints, named, keep_chats=front.rules.keep_chats)
        start = start_turn(asked, front.rules, caller.principal, caller.request_id, memory)
        if not echo.background:  # which is answered at once, and asked about by its id
            mark_attempt(start, hints)
        shown = front.presentation.asked_by(caller.headers)
        unique, now = new_id(), int(time.time())
        kept = None
        if echo.store or echo.conversation:
            logs_silence = front.pace.keep_alive is KeepAlive.EVENT
            silence = front.pace.keep_alive_after if logs_silence else None
            bind(start, unique, background=echo.background, keep_alive=silence)
            about = Kept(
                Raw(body),
                before,
                now,
                mode.value,
                shown,
                echo.previous_response_id,
                echo.conversation,
                items_heard,
                alone=not echo.store,
            )
            kept = about.response(unique, caller.principal)
        stream = ResponsesStream(unique, now, asked.named(), echo, shown)
        ignored = ignored_header(ignored_of(asked, front.rules))
        return Asking(body, wanted, hints, start, stream, ignored, kept)

    async def answer(self, asking: Asking) -> ASGIApp:
        """Return the answer; its turn is started. Raises ApiError where that fails at once."""
        backend, asked = self._front.backend, asking.wanted.asked
        if (answer := auxiliary_answer(asked, asking.hints)) is not None:
            if asking.hints.kind == COMPACTION:
                await self._retell(compacted(asking.start, answer))
            return self._told(asking, ToldTurn(told_turn(answer, asked.named())))
        if asking.kept is not None and asking.wanted.echo.background:
            return await self._in_background(asking, asking.kept)
        turn = turn_of(backend, asked, asking.start)
        return self._told(asking, turn if asking.kept is None else KeptTurn(turn, asking.kept, backend))

    async def _in_background(self, asking: Asking, kept: Stored) -> ASGIApp:
        """Keep a response and start its turn, which needs no listener; return what is told of it now."""
        backend, asked = self._front.backend, asking.wanted.asked
        await backend.memory.keep(kept)
        turn = turn_of(backend, asked, asking.start)
        if asked.stream and asking.is_one_turn:
            return self._told(asking, turn)
        try:
            await self._errands.send(turn, asking.start.turn_id, backend, alone=asking.is_one_turn)
        except ApiError:
            with suppress(ApiError):  # what was wrong first is told
                await backend.memory.forget(kept.response_id, kept.principal)
            raise
        if asked.stream:  # by a watcher, for the client may leave and the second turn must be started
            turn, _ = self._library.follow(kept)
            return self._told(asking, turn)
        return json_answer(asking.stream.now(), asking.headers)

    async def _retell(self, request: RetellRequest) -> None:
        """Have a conversation recognised by its summary; where that fails its agent will not be."""
        try:
            await self._front.backend.retell(request)
        except ApiError as error:
            _log.warning("a conversation will not be recognised by its summary: %s", error.message)

    def _told(self, asking: Asking, turn: Turn) -> ASGIApp:
        front = self._front
        if not asking.wanted.asked.stream:
            return TurnAnswer(turn, ResponsesFold(asking.stream), asking.headers, front.response_padding)
        stream = asking.stream if asking.kept is None else Logged(asking.stream)
        return TurnStream(turn, stream, asking.headers, front.pace)
