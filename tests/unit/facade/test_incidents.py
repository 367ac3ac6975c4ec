"""A bug is told as a failure, not as a connection that is cut: machines that break, on real sockets."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator

import httpx2
import pytest
from howler.model.v1.model_service_pb2 import Model
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.app import Edge, create_app
from facade.backend import Backend
from facade.backend.relay import RunningTurn
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold, ResponsesFold
from facade.openai.presentation import Presentation
from facade.openai.responses_request import Echo
from facade.openai.responses_stream import ResponsesStream
from facade.openai.start import Rules
from facade.routes.front import Front
from facade.sse import Fold, Pace, Stream, TurnAnswer, TurnStream
from tests.support.facade import accepted, served, started, text
from tests.support.facade_peer import Peer, Script, serve_peer
from tests.support.openai_judge import assert_error, judge_chat_stream
from tests.support.response_judge import judge_response_stream

QUICK = Pace(open_after=0.05, keep_alive_after=0.05)
SECRET = "a line of the prompt"
INCIDENT = re.compile(r"Internal error; incident ([0-9a-f]{32})\.")


def trip(events: Iterable[TaskEvent]) -> Iterator[TaskEvent]:
    """Pass events on up to one that breaks whoever reads them."""
    for event in events:
        if event.text_delta.text == "trip":
            raise LookupError(SECRET)
        yield event


class TripsInChat(ChatStream):
    """Breaks where it reads `trip`."""

    def receive(self, events: Iterable[TaskEvent]) -> bytes:
        return super().receive(trip(events))


class TripsInResponse(ResponsesStream):
    """Breaks where it reads `trip`."""

    def receive(self, events: Iterable[TaskEvent]) -> bytes:
        return super().receive(trip(events))


class TripsInFold(ChatFold):
    """Breaks where it reads `trip`."""

    def receive(self, events: Iterable[TaskEvent]) -> None:
        super().receive(trip(events))


class CannotOpen(ChatStream):
    """Breaks where it should open a stream that waits for acceptance."""

    def open(self) -> bytes:
        raise LookupError(SECRET)


class CannotKeepAlive(ChatStream):
    """Breaks in a silence."""

    def keep_alive(self) -> bytes:
        raise LookupError(SECRET)


def chat(kind: type[ChatStream]) -> ChatStream:
    return kind("chatcmpl-1", 1_795_000_000, "m", Presentation(), include_usage=False)


def response() -> ResponsesStream:
    return TripsInResponse("1", 1_795_000_000, "m", Echo(), Presentation())


async def ask(
    script: Script, answer: Callable[[RunningTurn], ASGIApp], heard: asyncio.Event | None = None
) -> httpx2.Response:
    """Return how one turn that plays the script is answered; the peer must see that it was left.

    `heard` is set when the answer's first bytes came.
    """
    peer, body = Peer(script), b""
    async with asyncio.timeout(60), serve_peer(peer) as target:
        backend = Backend(target)

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            await answer(backend.start(StartTurn(prompt="hi")))(scope, receive, send)

        async with served(Edge(tell)) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
            async with http.stream("POST", "/") as told:
                async for piece in told.aiter_bytes():
                    body += piece
                    if heard is not None:
                        heard.set()
            await peer.left.wait()
        await backend.close()
    assert SECRET.encode() not in body
    return httpx2.Response(told.status_code, headers=told.headers, content=body)


def streamed(machine: Stream, pace: Pace = QUICK) -> Callable[[RunningTurn], ASGIApp]:
    return lambda turn: TurnStream(turn, machine, [], pace)


def whole(machine: Fold) -> Callable[[RunningTurn], ASGIApp]:
    return lambda turn: TurnAnswer(turn, machine, [])


def assert_incident(message: str, log: pytest.LogCaptureFixture) -> None:
    """The client is told an id and nothing else; under the id the log has the whole."""
    told = INCIDENT.fullmatch(message)
    assert told is not None, message
    (record,) = [entry for entry in log.records if entry.levelno >= logging.ERROR]
    assert told[1] in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_chat_that_breaks_half_way(caplog: pytest.LogCaptureFixture) -> None:
    """P7.5: the error's frame and `[DONE]`; what was told before it stays."""
    heard = asyncio.Event()
    script: Script = [
        [accepted(), started(), text("half")],
        heard,
        [text("more"), text("trip")],
        asyncio.Event(),
    ]
    answer = await ask(script, streamed(chat(TripsInChat)), heard)
    verdict = judge_chat_stream(answer.content)
    assert (answer.status_code, verdict.content) == (200, "halfmore")
    assert verdict.error is not None
    assert verdict.error["code"] == "internal_error"
    assert_incident(verdict.error["message"], caplog)


async def test_response_that_breaks_half_way(caplog: pytest.LogCaptureFixture) -> None:
    """P7.5: `response.failed`, all items closed before it."""
    heard = asyncio.Event()
    script: Script = [[accepted(), started(), text("half")], heard, [text("trip")], asyncio.Event()]
    answer = await ask(script, streamed(response()), heard)
    verdict = judge_response_stream(answer.content)
    assert (verdict.terminal, verdict.text) == ("response.failed", "half")
    assert_incident(verdict.response.error.message, caplog)


@pytest.mark.parametrize(
    "answer",
    [
        streamed(chat(TripsInChat), Pace()),  # on a busy machine a quick one would open first
        streamed(response(), Pace()),
        whole(TripsInFold("chatcmpl-1", 1_795_000_000, "m", Presentation())),
        whole(ResponsesFold(response())),
    ],
    ids=["chat", "response", "whole chat", "whole response"],
)
async def test_bug_before_the_first_byte_is_a_500(
    answer: Callable[[RunningTurn], ASGIApp], caplog: pytest.LogCaptureFixture
) -> None:
    told = await ask([[accepted(), text("trip")], asyncio.Event()], answer)
    error = assert_error(told.json())
    assert (told.status_code, error["code"]) == (500, "internal_error")
    assert told.headers["x-should-retry"] == "false"
    assert_incident(error["message"], caplog)


async def test_stream_that_cannot_be_opened(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask([asyncio.Event()], streamed(chat(CannotOpen)))
    assert answer.status_code == 500
    assert_incident(assert_error(answer.json())["message"], caplog)


async def test_stream_that_cannot_be_kept_alive(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask([[accepted(), text("half")], asyncio.Event()], streamed(chat(CannotKeepAlive)))
    verdict = judge_chat_stream(answer.content)
    assert verdict.content == "half"
    assert verdict.error is not None
    assert_incident(verdict.error["message"], caplog)


async def test_a_bug_in_a_route_is_an_incident_too(caplog: pytest.LogCaptureFixture) -> None:
    class Trips(Backend):
        async def models(self, request_id: str) -> list[Model]:
            raise LookupError(SECRET)

    backend = Trips("127.0.0.1:1")
    page = "https://chat.example"
    app = create_app(Front(backend, Rules(), 1000, origins=(page,)))
    async with served(app) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        answer = await http.get("/v1/models", headers={"origin": page})
    await backend.close()
    assert answer.status_code == 500
    assert answer.headers["access-control-allow-origin"] == page, "else a page could not read it"
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert answer.headers["x-request-id"]
    assert SECRET not in answer.text
    assert_incident(error["message"], caplog)
