"""The WebSocket of /v1/responses (openai-surface.md §6.6): one request after another, errors as frames."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from howler.task.v1.start_turn_pb2 import StartTurn
from openai import AsyncOpenAI
from openai.types.responses.response_steer_accepted_event import ResponseSteerAcceptedEvent
from openai.types.responses.response_steer_failed_event import ResponseSteerFailedEvent
from openai.types.responses.responses_server_event import ResponseWsError
from websockets.exceptions import ConnectionClosed, InvalidStatus

from facade.config import Settings
from facade.sse import Pace
from tests.support.facade import accepted, ended, failed, serve_facade, started, text, thought, tool
from tests.support.facade_peer import MODEL, Peer, Refusal, Step, serve_peer
from tests.support.line import Line, judge_frames, line_to
from tests.support.openai_judge import assert_error

MOST_BYTES = 4000
ANSWER: Sequence[Step] = [
    [accepted()],
    [started(), thought("hm")],
    [tool("a", 2, raw_input='{"command":"ls"}'), tool("a", 3, output="a.py")],
    [text("Hello"), text(" you")],
    [ended()],
]
HI = [{"type": "message", "role": "user", "content": "hi"}]


def told_to(start: StartTurn) -> list[tuple[int, str]]:
    """Return what a turn was told: (role, text)."""
    return [(message.role, message.text) for message in start.messages.messages]


@dataclass
class Scene:
    """A facade and the peer behind it."""

    peer: Peer
    url: str


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    peer = Peer(ANSWER)
    async with serve_peer(peer) as target, serve_facade(target, max_body_bytes=MOST_BYTES) as url:
        yield Scene(peer, url)


@pytest.fixture
async def line(scene: Scene) -> AsyncIterator[Line]:
    async with line_to(scene.url, authorization="Bearer sk-test") as line:
        yield line


async def test_the_sdk_asks_over_it(scene: Scene) -> None:
    """`client.responses.connect()` of openai-python."""
    async with (
        AsyncOpenAI(base_url=f"{scene.url}/v1", api_key="sk-test") as client,
        client.responses.connect(websocket_connection_options={"proxy": None}) as connection,
    ):
        await connection.response.create(model="default", input="hi")
        events = []
        async for event in connection:
            events.append(event)
            if event.type == "response.completed":
                assert event.response.output_text == "Hello you"
                break
    assert judge_frames([event.to_dict() for event in events]).text == "Hello you"


async def test_each_event_is_a_frame_as_over_http(line: Line, scene: Scene) -> None:
    verdict = await line.ask("hi", store=False)
    assert (verdict.text, verdict.terminal) == ("Hello you", "response.completed")
    assert [item.type for item in verdict.response.output] == ["reasoning", "mcp_call", "message"]
    assert verdict.response.model == MODEL.id
    assert scene.peer.starts[0].model == "default"


async def test_requests_are_answered_in_their_order(line: Line, scene: Scene) -> None:
    for number in range(3):
        await line.create(input=f"number {number}", store=False)
    verdicts = [judge_frames(await line.hear()) for _ in range(3)]
    assert len({verdict.response.id for verdict in verdicts}) == 3
    assert [told_to(start)[-1][1] for start in scene.peer.starts] == ["number 0", "number 1", "number 2"]


async def test_what_was_said_on_it_is_remembered(line: Line, scene: Scene) -> None:
    """Connection-local history: not stored, and found all the same."""
    first = await line.ask(HI, store=False)
    second = await line.ask("and?", store=False, previous_response_id=first.response.id)
    assert second.response.previous_response_id == first.response.id
    assert told_to(scene.peer.starts[1]) == [(1, "hi"), (2, "Hello you"), (1, "and?")]
    await line.ask("once more", store=False, previous_response_id=second.response.id)
    assert [text for _, text in told_to(scene.peer.starts[2])][-2:] == ["Hello you", "once more"]
    assert not scene.peer.responses.kept


async def test_it_is_forgotten_with_the_connection(line: Line, scene: Scene) -> None:
    first = await line.ask("hi", store=False)
    async with line_to(scene.url) as other:
        error = await other.refused(input="and?", previous_response_id=first.response.id)
    assert (error["status"], error["error"]["code"]) == (400, "previous_response_not_found")
    assert error["error"]["param"] == "previous_response_id"


async def test_the_newest_are_remembered(line: Line) -> None:
    """As much as a body may hold."""
    first = await line.ask("a" * (MOST_BYTES // 2), store=False)
    second = await line.ask("b" * (MOST_BYTES // 2), store=False)
    error = await line.refused(input="and?", previous_response_id=first.response.id)
    assert error["error"]["code"] == "previous_response_not_found"
    await line.ask("and?", store=False, previous_response_id=second.response.id)


async def test_a_stored_one_is_kept_for_all(line: Line, scene: Scene) -> None:
    verdict = await line.ask("hi")
    (kept,) = scene.peer.responses.kept.values()
    assert (kept.response_id, kept.turn_id) == (verdict.response.id, scene.peer.starts[0].turn_id)
    assert "type" not in json.loads(kept.request)


async def test_a_prewarm_runs_no_agent(line: Line, scene: Scene) -> None:
    """Codex's first frame: developer messages only; the next one goes on from it."""
    rules = {"type": "message", "role": "developer", "content": "Be brief."}
    await line.create(input=[rules], generate=False, store=False, instructions="and kind")
    warm = await line.hear()
    assert [event["type"] for event in warm] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in warm] == [0, 1, 2]
    assert (warm[-1]["response"]["output"], warm[-1]["response"]["store"]) == ([], False)
    assert scene.peer.starts == []
    await line.ask(HI, store=False, previous_response_id=warm[-1]["response"]["id"])
    (start,) = scene.peer.starts
    assert (told_to(start), start.instructions) == ([(1, "hi")], "Be brief.")


@pytest.mark.parametrize(
    ("frame", "param"),
    [
        ("no JSON", None),
        ("[]", None),
        ("[" * 3900, None),
        ('{"type": "response.create", "input": "\\ud800"}', None),
        ('{"type": "response.steer", "input": NaN}', None),
        ('{"input": "hi"}', "type"),
        ('{"type": "response.cancel"}', "type"),
        ('{"type": "response.create", "input": 5}', "input"),
        ('{"type": "response.create", "input": "hi", "stream_id": "a"}', "stream_id"),
        ('{"type": "response.create", "input": "hi", "generate": 1}', "generate"),
        ('{"type": "response.create", "input": 5, "generate": false}', "input"),
    ],
)
async def test_a_bad_frame_is_an_error_and_no_end(line: Line, frame: str, param: str | None) -> None:
    await line.socket.send(frame)
    (error,) = await line.hear()
    assert (error["type"], error["status"]) == ("error", 400)
    assert_error({"error": error["error"]})
    assert error["error"]["param"] == param
    ResponseWsError.model_validate(error)
    assert (await line.ask("hi", store=False)).text == "Hello you"


async def test_a_binary_frame_is_read_as_text(line: Line) -> None:
    await line.socket.send(b'{"type": "response.create", "model": "default", "input": "hi"}')
    assert judge_frames(await line.hear()).text == "Hello you"


async def test_a_refusal_is_an_error_with_what_steers_retries(line: Line, scene: Scene) -> None:
    scene.peer.script = [Refusal("POOL_EXHAUSTED", "too many", retry_after=7)]
    error = await line.refused(input="hi", store=False)
    assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")
    assert error["error"]["headers"] == {"retry-after": "7"}
    ResponseWsError.model_validate(error)


async def test_a_failure_in_the_middle_ends_the_response(line: Line, scene: Scene) -> None:
    scene.peer.script = [[accepted(), started(), text("Hel")], [failed()]]
    verdict = await line.ask("hi", store=False)
    assert verdict.terminal == "response.failed"
    error = await line.refused(input="and?", previous_response_id=verdict.response.id)
    assert error["error"]["code"] == "previous_response_not_found"


async def steer(line: Line, previous: str, said: object) -> None:
    frame = {"type": "response.steer", "previous_response_id": previous, "input": said}
    await line.socket.send(json.dumps(frame))


@pytest.mark.parametrize("store", [False, True])
async def test_a_running_response_is_steered(line: Line, scene: Scene, *, store: bool) -> None:
    """It ends `steered`, and another goes on from it with what was said."""
    scene.peer.script = [[accepted(), started(), text("Hel")], asyncio.Event()]
    await line.create(input="hi", store=store, instructions="Be kind.")
    begun = [json.loads(await line.socket.recv()) for _ in range(5)]
    response_id = begun[0]["response"]["id"]
    scene.peer.script = ANSWER
    await steer(line, response_id, "Say more")
    events = begun + await line.hear()
    (told,) = [event for event in events if event["type"] == "response.steer.accepted"]
    ResponseSteerAcceptedEvent.model_validate(told)
    assert told["steer"]["previous_response_id"] == response_id
    first = judge_frames([event for event in events if event is not told])
    assert (first.terminal, first.text) == ("response.incomplete", "Hel")
    assert first.response.incomplete_details.reason == "steered"
    second = judge_frames(await line.hear())
    assert (second.text, second.response.previous_response_id) == ("Hello you", response_id)
    assert second.response.instructions == "Be kind."
    assert told_to(scene.peer.starts[1]) == [(1, "hi"), (2, "Hel"), (1, "Say more")]


async def test_what_cannot_be_said_is_given_back(line: Line, scene: Scene) -> None:
    async def refused(previous: str, said: object) -> dict[str, Any]:
        await steer(line, previous, said)
        event = json.loads(await line.socket.recv())
        ResponseSteerFailedEvent.model_validate(event)
        assert (event["steer"]["input"], event["steer"]["previous_response_id"]) == (said, previous)
        return event["error"]["code"]

    assert await refused("resp_1", "left") == "response_not_found"
    scene.peer.script = [[accepted(), started(), text("Hel")], asyncio.Event()]
    await line.create(input="hi", store=False)
    begun = [json.loads(await line.socket.recv()) for _ in range(5)]
    assert await refused(begun[0]["response"]["id"], []) == "invalid_input"


async def test_who_hangs_up_leaves_the_turn(scene: Scene) -> None:
    scene.peer.script = [[accepted(), started(), text("Hel")], asyncio.Event()]
    async with line_to(scene.url) as line:
        await line.create(input="hi", store=False)
        await line.create(input="and?", store=False)
        await line.socket.recv()
    async with asyncio.timeout(60):
        await scene.peer.left.wait()
    assert len(scene.peer.starts) == 1, "what waited is not asked any more"


async def test_it_is_kept_alive_by_events(scene: Scene) -> None:
    goes_on = asyncio.Event()
    peer = Peer([goes_on, [accepted()], [started(), text("Hello you"), ended()]])
    pace = Pace(open_after=0.05, keep_alive_after=0.05)
    async with serve_peer(peer) as target, serve_facade(target, pace=pace) as url, line_to(url) as line:
        await line.create(input="hi", store=False)
        events = [json.loads(await line.socket.recv()) for _ in range(4)]
        goes_on.set()
        events += await line.hear()
    assert [event["type"] for event in events[:4]] == ["response.created", *["response.in_progress"] * 3]
    assert judge_frames(events).text == "Hello you"


@pytest.mark.parametrize("frames", [[MOST_BYTES + 1], [MOST_BYTES // 2 + 100] * 3])
async def test_what_is_too_large_closes_it(scene: Scene, frames: list[int]) -> None:
    """A frame that is larger than a body may be; too many that wait."""
    scene.peer.script = [[accepted(), started()], asyncio.Event()]
    async with line_to(scene.url) as line:
        with contextlib.suppress(ConnectionClosed):
            for size in frames:
                await line.create(input="a" * size, store=False)
        async with asyncio.timeout(60):
            await line.socket.wait_closed()
    assert line.socket.close_code == (1009 if len(frames) == 1 else 1008)


async def test_it_is_closed_when_nothing_is_asked_for_long() -> None:
    async with (
        serve_peer(Peer(ANSWER)) as target,
        serve_facade(target, socket_idle=0.2) as url,
        line_to(url) as line,
    ):
        assert (await line.ask("hi", store=False)).text == "Hello you"
        async with asyncio.timeout(60):
            await line.socket.wait_closed()
    assert line.socket.close_code == 1000


async def test_where_it_is_off_clients_are_told_to_use_http() -> None:
    """Codex falls back at a 426."""
    assert Settings.load(responses_websocket="off").responses_websocket is False
    async with serve_peer(Peer()) as target, serve_facade(target, responses_websocket=False) as url:
        with pytest.raises(InvalidStatus) as caught:
            async with line_to(url):
                pass
    assert caught.value.response.status_code == 426
    assert caught.value.response.headers["x-request-id"]
    assert_error(json.loads(caught.value.response.body or b""))


@pytest.mark.parametrize(
    ("origins", "origin", "is_let_in"),
    [
        ((), "https://evil.example", False),
        (("https://chat.example",), "https://evil.example", False),
        (("https://chat.example",), "https://chat.example", True),
        (("*",), "https://anyone.example", True),
    ],
)
async def test_pages_are_let_in_by_the_list(
    origins: tuple[str, ...], origin: str, *, is_let_in: bool
) -> None:
    """P2.2: a browser opens a WebSocket to any address, and asks nobody before."""
    async with serve_peer(Peer(ANSWER)) as target, serve_facade(target, origins=origins) as url:
        if is_let_in:
            async with line_to(url, origin=origin) as line:
                assert (await line.ask("hi", store=False)).text == "Hello you"
            return
        with pytest.raises(InvalidStatus) as caught:
            async with line_to(url, origin=origin):
                pass
    assert caught.value.response.status_code == 403
    assert_error(json.loads(caught.value.response.body or b""))


async def test_the_handshake_has_a_request_id(line: Line) -> None:
    response: Any = line.socket.response
    assert response.headers["x-request-id"].startswith("req_")
