"""What fills silences over HTTP, and what begins an answer that is not known yet (openai-surface.md §8)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import openai
import pytest
import uvloop
from openai.types.chat import ChatCompletionMessageParam

from facade.sse import KeepAlive, Pace, Padding
from tests.support.facade import accepted, ended, failed, serve_facade, started, text
from tests.support.facade_peer import Peer, serve_peer
from tests.support.front import CHAT, RESPONSES, chat_body, response_body
from tests.support.openai_judge import assert_error, judge_chat_completion, judge_chat_stream
from tests.support.response_judge import judge_response, judge_response_stream

SOON = Padding(after=0.02, every=0.02)
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
BODIES = {CHAT: chat_body("hi"), RESPONSES: response_body("hi"), "/v1/completions": {"prompt": "hi"}}


@dataclass
class Scene:
    """A facade and a peer that is silent until `speak` is set."""

    peer: Peer
    url: str
    http: httpx2.AsyncClient
    speak: asyncio.Event


@asynccontextmanager
async def scene(*, pace: Pace | None = None, padding: Padding | None = None) -> AsyncIterator[Scene]:
    speak = asyncio.Event()
    peer = Peer([[accepted(), started()], speak, [text("Hello"), ended()]])
    async with (
        serve_peer(peer) as target,
        serve_facade(target, pace=pace, padding=padding) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
    ):
        yield Scene(peer, url, http, speak)


async def read(scene: Scene, path: str, most: int, **fields: object) -> tuple[httpx2.Response, bytes]:
    """Read an answer whose turn goes on after that many lines."""
    raw = b""
    async with scene.http.stream("POST", path, json=BODIES[path] | fields) as answer:
        async for piece in answer.aiter_bytes():
            raw += piece
            if raw.count(b"\n") >= most:
                scene.speak.set()
    return answer, raw


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_comments_fill_silences(path: str) -> None:
    """One line each, so that they end no event."""
    pace = Pace(keep_alive_after=0.02, keep_alive=KeepAlive.COMMENT)
    async with scene(pace=pace) as played:
        _, raw = await read(played, path, 12, stream=True)
    assert raw.count(b": keep-alive\n") >= 2
    assert b": keep-alive\n\n" not in raw
    judge = judge_chat_stream if path == CHAT else judge_response_stream
    assert judge(raw.replace(b": keep-alive\n", b"")).keep_alives == 0


async def test_comments_are_nothing_to_the_sdk() -> None:
    pace = Pace(keep_alive_after=0.02, keep_alive=KeepAlive.COMMENT)
    async with (
        scene(pace=pace) as played,
        openai.AsyncOpenAI(base_url=f"{played.url}/v1", api_key="x", max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        asyncio.get_running_loop().call_later(0.2, played.speak.set)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello"


async def test_nothing_fills_silences() -> None:
    async with scene(pace=Pace(open_after=0.02, keep_alive_after=0.02, keep_alive=KeepAlive.OFF)) as played:
        asyncio.get_running_loop().call_later(0.3, played.speak.set)
        _, raw = await read(played, CHAT, 1000, stream=True)
    assert judge_chat_stream(raw).keep_alives == 0


def test_an_answer_opens_on_the_loop_that_the_facade_runs_on() -> None:
    """A timer of uvloop's that is due, or all but due by a float's rounding, is a plain handle."""

    async def opened() -> tuple[httpx2.Response, bytes]:
        async with scene(pace=Pace(open_after=0)) as played:
            return await read(played, CHAT, 1, stream=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, raw = runner.run(opened())
    assert answer.status_code == 200
    assert judge_chat_stream(raw).content == "Hello"


@pytest.mark.parametrize("path", [CHAT, RESPONSES, "/v1/completions"])
async def test_a_whole_answer_begins_before_it_is_known(path: str) -> None:
    async with scene(padding=SOON) as played:
        answer, raw = await read(played, path, 3, temperature=1)
    assert answer.status_code == 200
    assert raw.startswith(b" \n \n \n")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.headers["x-gateway-ignored-params"] == "temperature"
    if path == CHAT:
        assert judge_chat_completion(raw).choices[0].message.content == "Hello"
    elif path == RESPONSES:
        assert judge_response(raw).status == "completed"


async def test_the_sdk_reads_an_answer_that_began_before() -> None:
    async with (
        scene(padding=SOON) as played,
        openai.AsyncOpenAI(base_url=f"{played.url}/v1", api_key="x", max_retries=0) as client,
    ):
        asyncio.get_running_loop().call_later(0.2, played.speak.set)
        assert (await client.responses.create(model="m", input="hi")).output_text == "Hello"
        chat = await client.chat.completions.create(model="m", messages=HI)
        assert chat.choices[0].message.content == "Hello"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_a_failure_after_the_beginning_stands_in_the_body(path: str) -> None:
    """It is never dressed up as an answer."""
    async with scene(padding=SOON) as played:
        played.peer.script = [*played.peer.script[:2], [text("half"), failed(message="it broke")]]
        answer, raw = await read(played, path, 2)
    assert answer.status_code == 200
    if path == RESPONSES:
        response = judge_response(raw)
        assert response.status == "failed"
        assert response.error is not None
        assert response.error.message == "it broke"
    else:
        assert assert_error(httpx2.Response(200, content=raw).json())["message"] == "it broke"


async def test_an_answer_that_is_soon_there_is_not_padded() -> None:
    async with scene(padding=Padding()) as played:
        played.speak.set()
        played.peer.script = [[accepted(), started(), failed(message="it broke")]]
        answer = await played.http.post(RESPONSES, json=BODIES[RESPONSES])
    assert answer.status_code == 502


async def test_who_leaves_a_padded_answer_leaves_its_turn() -> None:
    """P3.2"""
    async with scene(padding=SOON) as played:
        async with played.http.stream("POST", CHAT, json=BODIES[CHAT]) as answer:
            async for _ in answer.aiter_bytes():
                break
        async with asyncio.timeout(60):
            await played.peer.left.wait()
