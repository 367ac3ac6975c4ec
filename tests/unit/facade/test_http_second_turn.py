"""A stored response that a second turn mends is told alike to all, also to who comes between the two."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from howler.response.v1.response_service_pb2 import CreateResponse
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_service_pb2 import GetTurnResponse

from tests.support.facade import accepted, ended, serve_facade, started, text
from tests.support.facade_peer import Peer, Refusal, Responses, Script, serve_peer
from tests.support.response_judge import judge_response_stream
from tests.support.watched import eventually

RESPONSES = "/v1/responses"
FORMAT = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}
BODY: dict[str, Any] = {"model": "default", "input": "hi", "text": FORMAT}


@dataclass
class Scene:
    """A facade and the peer behind it, which starts the second turn when `peer.late` is set."""

    peer: Peer
    http: httpx2.AsyncClient
    mended: asyncio.Event

    async def begin(self, **fields: Any) -> asyncio.Task[httpx2.Response]:
        """Ask for a response; return when its first turn is over and its second was asked for."""
        asking = asyncio.create_task(self.http.post(RESPONSES, json=BODY | fields))

        async def second_is_asked_for() -> bool:
            return len(self.peer.of_kind("start")) == 2

        await eventually(second_is_asked_for)
        return asking

    @property
    def url(self) -> str:
        """Where the response is."""
        (kept,) = self.peer.responses.kept.values()
        return f"{RESPONSES}/{kept.response_id}"

    async def status(self) -> str:
        """Return what it is by now."""
        return str((await self.http.get(self.url)).json()["status"])

    def resume(self, after: int) -> asyncio.Task[httpx2.Response]:
        """Follow it from a place on."""
        params: dict[str, Any] = {"stream": "true", "starting_after": after}
        return asyncio.create_task(self.http.get(self.url, params=params))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    mended = asyncio.Event()

    def script_of(start: StartTurn) -> Script:
        if start.messages.messages:
            return [[accepted(), started(), text("no JSON")], [ended(resumable=True)]]
        return [[accepted(), started()], mended, [text('{"a": 1}')], [ended(resumable=True)]]

    peer = Peer(script_of=script_of, punctual=1)
    async with (
        serve_peer(peer) as target,
        serve_facade(target) as url,
        httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
    ):
        yield Scene(peer, http, mended)


@pytest.mark.parametrize("background", [False, True])
async def test_who_comes_between_the_turns_is_told_the_second(scene: Scene, *, background: bool) -> None:
    asking = await scene.begin(stream=True, background=background)
    assert await scene.status() == "in_progress"
    early = [scene.resume(after) for after in (-1, 3)]
    scene.peer.late.set()

    async def second_runs() -> bool:
        return len(scene.peer.starts) == 2

    await eventually(second_runs)
    assert await scene.status() == "in_progress", "the first answer is not the response's"
    late = [scene.resume(after) for after in (-1, 3)]
    scene.mended.set()
    whole = (await asking).content.removeprefix(b": keep-alive\n")
    assert judge_response_stream(whole).text == '{"a": 1}'
    frames = whole.split(b"\n\n")
    for resumed in (early, late, [scene.resume(after) for after in (-1, 3)]):
        told = [(await one).content for one in resumed]
        assert told == [whole, b"\n\n".join(frames[4:])]
    assert await scene.status() == "completed"


async def test_a_background_response_is_mended_without_its_client(scene: Scene) -> None:
    """Its client streams, and leaves before the second turn begins."""
    asking = await scene.begin(stream=True, background=True)
    asking.cancel()
    scene.peer.late.set()
    scene.mended.set()

    async def completed() -> bool:
        return await scene.status() == "completed"

    await eventually(completed)
    (message,) = (await scene.http.get(scene.url)).json()["output"]
    assert message["content"][0]["text"] == '{"a": 1}'


class Full(Responses):
    """A store that takes nothing."""

    async def Create(self, request: Any, context: Any) -> CreateResponse:
        await Refusal("STORE_UNAVAILABLE").abort(context)
        raise AssertionError("aborted")


class Forgetful(Peer):
    """A server whose store is away: it cannot say what became of a turn."""

    async def GetTurn(self, request: Any, context: Any) -> GetTurnResponse:
        await Refusal("STORE_UNAVAILABLE").abort(context)
        raise AssertionError("aborted")


async def test_a_background_response_that_cannot_be_kept_starts_no_turn() -> None:
    peer = Peer([[accepted(), started()], [ended()]], responses=Full())
    async with (
        serve_peer(peer) as target,
        serve_facade(target) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
    ):
        answer = await http.post(RESPONSES, json=BODY | {"background": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert not peer.starts


async def test_a_background_turn_of_which_nothing_is_known_is_left() -> None:
    """Its client is told an error: nobody would ask for it again."""
    peer = Forgetful([[accepted(), started()], asyncio.Event()])
    async with (
        asyncio.timeout(60),
        serve_peer(peer) as target,
        serve_facade(target) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
    ):
        answer = await http.post(RESPONSES, json=BODY | {"background": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
        await peer.left.wait()


async def test_a_second_turn_that_nobody_starts_is_not_waited_for_long(scene: Scene) -> None:
    """The process that should have started it is gone: the first answer stands, from some seconds on."""
    asking = await scene.begin(stream=True)
    asking.cancel()
    (first,) = scene.peer.starts
    scene.peer.ended_at[first.turn_id] = 1
    assert await scene.status() == "completed"
    told = judge_response_stream((await scene.resume(-1)).content)
    assert told.text == "no JSON"
