"""Turns over HTTP: a real facade, a scripted gRPC peer, the official openai client, real sockets."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from facade.sse import Pace
from tests.support.facade import accepted, ended, failed, serve_facade, started, text, thought, tool
from tests.support.facade_peer import MODEL, Peer, Refusal, serve_peer
from tests.support.openai_judge import judge_chat_completion, judge_chat_stream
from tests.support.response_judge import judge_response, judge_response_stream

QUICK = Pace(open_after=0.05, keep_alive_after=0.05)
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
ANSWER = [
    [accepted()],
    [started(), thought("hm")],
    [tool("a", 2, raw_input='{"command":"ls"}'), tool("a", 3, output="a.py")],
    [text("Hello"), text(" you")],
    [ended()],
]


@dataclass
class Scene:
    """A facade and the peer behind it."""

    peer: Peer
    http: httpx2.AsyncClient
    client: AsyncOpenAI

    def body(self, path: str, *, stream: bool) -> dict[str, object]:
        """A small request."""
        key = "messages" if path == CHAT else "input"
        return {"model": MODEL.id, key: HI, "stream": stream}


@pytest.fixture
def pace() -> Pace:
    """Speak unasked as late as Howler does; a busy machine takes long to say no."""
    return Pace()


@pytest.fixture
async def scene(pace: Pace) -> AsyncIterator[Scene]:
    peer = Peer(ANSWER)
    async with (
        serve_peer(peer) as target,
        serve_facade(target, pace=pace) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=0) as client,
    ):
        yield Scene(peer, http, client)


async def test_chat_streamed(scene: Scene) -> None:
    stream = await scene.client.chat.completions.create(
        model=MODEL.id, messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "Hello you"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 17


async def test_chat_whole(scene: Scene) -> None:
    answer = await scene.client.chat.completions.create(model=MODEL.id, messages=HI)
    assert answer.choices[0].message.content == "Hello you"
    assert answer.model == MODEL.id
    assert answer._request_id is not None


async def test_response_streamed_by_the_helper(scene: Scene) -> None:
    async with scene.client.responses.stream(model=MODEL.id, input="hi") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == "Hello you"
    assert [item.type for item in final.output] == ["reasoning", "mcp_call", "message"]


async def test_response_whole(scene: Scene) -> None:
    response = await scene.client.responses.create(model=MODEL.id, input="hi")
    assert response.output_text == "Hello you"
    assert response.status == "completed"


async def test_every_byte_is_legal(scene: Scene) -> None:
    """P2.1, P7.4: streamed and whole, on both paths."""
    chat = await scene.http.post(CHAT, json=scene.body(CHAT, stream=True))
    assert judge_chat_stream(chat.content).content == "Hello you"
    whole = await scene.http.post(CHAT, json=scene.body(CHAT, stream=False))
    assert judge_chat_completion(whole.content).choices[0].message.content == "Hello you"
    response = await scene.http.post(RESPONSES, json=scene.body(RESPONSES, stream=True))
    assert judge_response_stream(response.content).text == "Hello you"
    whole = await scene.http.post(RESPONSES, json=scene.body(RESPONSES, stream=False))
    assert judge_response(whole.content).output[-1].type == "message"


async def test_headers(scene: Scene) -> None:
    body = scene.body(CHAT, stream=True) | {"temperature": 1, "seed": 2}
    answer = await scene.http.post(CHAT, json=body, headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.headers["openai-processing-ms"].isdecimal()
    assert answer.headers["x-gateway-ignored-params"] == "temperature,seed"
    assert [start.request_id for start in scene.peer.starts] == ["mine-1"]


async def test_request_ids_that_do_not_fit_are_replaced(scene: Scene) -> None:
    answer = await scene.http.get("/healthz", headers={"x-request-id": "a b"})
    assert answer.headers["x-request-id"].startswith("req_")


async def test_principal(scene: Scene) -> None:
    await scene.http.post(CHAT, json=scene.body(CHAT, stream=False))
    await scene.client.chat.completions.create(model=MODEL.id, messages=HI)
    await scene.http.post(CHAT, json=scene.body(CHAT, stream=False), headers={"x-api-key": "k"})
    digests = [hashlib.sha256(key).hexdigest() for key in (b"sk-test", b"k")]
    assert [start.principal for start in scene.peer.starts] == ["anonymous", *digests]


async def test_failure_before_acceptance_is_a_status(scene: Scene) -> None:
    """P2.4, P7.3: on both paths, streamed or not."""
    scene.peer.script = [Refusal("POOL_EXHAUSTED", "all slots are taken", retry_after=2.5)]
    for path in (CHAT, RESPONSES):
        for stream in (True, False):
            answer = await scene.http.post(path, json=scene.body(path, stream=stream))
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
            assert answer.json()["error"] == {
                "message": "all slots are taken",
                "type": "rate_limit_error",
                "param": None,
                "code": "rate_limit_exceeded",
            }


@pytest.mark.parametrize(
    ("refusal", "error", "code"),
    [
        (Refusal("MODEL_NOT_FOUND", "no such model"), openai.NotFoundError, "model_not_found"),
        (Refusal("QUOTA_EXHAUSTED"), openai.RateLimitError, "insufficient_quota"),
        (Refusal("SESSION_EXPIRED"), openai.InternalServerError, "service_unavailable"),
        (Refusal("PROMPT_TOO_LARGE"), openai.BadRequestError, "context_length_exceeded"),
        (Refusal("A_REASON_OF_TOMORROW"), openai.InternalServerError, "internal_error"),
        (Refusal(), openai.InternalServerError, "service_unavailable"),
    ],
    ids=lambda value: value.reason if isinstance(value, Refusal) else None,
)
async def test_errors_as_the_client_sees_them(
    scene: Scene, refusal: Refusal, error: type[openai.APIStatusError], code: str
) -> None:
    scene.peer.script = [refusal]
    with pytest.raises(error) as caught:
        await scene.client.chat.completions.create(model="m", messages=HI, stream=True)
    assert caught.value.code == code
    assert caught.value.request_id


async def test_failure_after_acceptance(scene: Scene) -> None:
    """P7.5, P8.6: streams tell it in their own way, whole answers by a status; nobody is to try again."""
    scene.peer.script = [[accepted()], [started(), text("half")], [failed(message="it broke")]]
    chat = await scene.http.post(CHAT, json=scene.body(CHAT, stream=True))
    verdict = judge_chat_stream(chat.content)
    assert chat.status_code == 200
    assert verdict.error is not None
    assert verdict.error["message"] == "it broke"
    response = await scene.http.post(RESPONSES, json=scene.body(RESPONSES, stream=True))
    assert judge_response_stream(response.content).terminal == "response.failed"
    for path in (CHAT, RESPONSES):
        whole = await scene.http.post(path, json=scene.body(path, stream=False))
        assert (whole.status_code, whole.headers["x-should-retry"]) == (502, "false")


async def test_peer_that_breaks_off(scene: Scene) -> None:
    for end in (Refusal(), Refusal("SLOW_CONSUMER")):
        scene.peer.script = [[accepted(), started(), text("half")], end]
        chat = await scene.http.post(CHAT, json=scene.body(CHAT, stream=True))
        assert judge_chat_stream(chat.content).error is not None
        whole = await scene.http.post(RESPONSES, json=scene.body(RESPONSES, stream=False))
        assert whole.status_code == 503


@pytest.mark.parametrize("pace", [QUICK])
async def test_slow_acceptance_opens_the_stream_and_keeps_it_alive(scene: Scene) -> None:
    accept = asyncio.Event()
    scene.peer.script = [accept, *ANSWER]
    for path, judge in ((CHAT, judge_chat_stream), (RESPONSES, judge_response_stream)):
        accept.clear()
        raw = b""
        asking = scene.body(path, stream=True) | {
            "store": False
        }  # the silences of a stored one are its log's
        async with scene.http.stream("POST", path, json=asking) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_bytes():
                raw += piece
                if raw.count(b"\n\n") >= 4:
                    accept.set()
        assert judge(raw).keep_alives >= 2


@pytest.mark.parametrize("pace", [QUICK])
async def test_refusal_after_the_stream_was_opened(scene: Scene) -> None:
    refuse = asyncio.Event()
    scene.peer.script = [refuse, Refusal("VM_FAILED", "no VM")]
    raw = b""
    async with scene.http.stream("POST", CHAT, json=scene.body(CHAT, stream=True)) as answer:
        async for piece in answer.aiter_bytes():
            raw += piece
            refuse.set()
    error = judge_chat_stream(raw).error
    assert error is not None
    assert error["message"] == "no VM"


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_cancels_the_turn(scene: Scene, path: str, stream: bool) -> None:
    """P3.2: at once, whether something was told yet or not."""
    scene.peer.script = [[accepted()], asyncio.Event()]
    asking = asyncio.create_task(_ask(scene, path, stream))
    while not scene.peer.starts:
        await asyncio.sleep(0.01)
    asking.cancel()
    async with asyncio.timeout(60):
        await scene.peer.left.wait()


async def test_leaving_before_acceptance_cancels_the_turn(scene: Scene) -> None:
    scene.peer.script = [asyncio.Event()]
    asking = asyncio.create_task(_ask(scene, CHAT, stream=True))
    while not scene.peer.starts:
        await asyncio.sleep(0.01)
    asking.cancel()
    async with asyncio.timeout(60):
        await scene.peer.left.wait()


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("stream", [True, False])
async def test_turn_that_is_over_is_not_cancelled(scene: Scene, path: str, stream: bool) -> None:
    """A caller that stays to the end has not left: on_detach is for others."""
    told = asyncio.Event()
    scene.peer.script = [*ANSWER, told]
    answer = await scene.http.post(path, json=scene.body(path, stream=stream))
    told.set()
    assert answer.status_code == 200
    async with asyncio.timeout(60):
        await scene.peer.played.wait()
    assert not scene.peer.left.is_set()


async def _ask(scene: Scene, path: str, stream: bool) -> None:
    await scene.http.post(path, json=scene.body(path, stream=stream))


async def test_many_at_once(scene: Scene) -> None:
    """P3.3: each gets its own answer."""
    asked = [scene.http.post(CHAT, json=scene.body(CHAT, stream=True)) for _ in range(30)]
    verdicts = [judge_chat_stream(answer.content) for answer in await asyncio.gather(*asked)]
    assert {verdict.content for verdict in verdicts} == {"Hello you"}
    assert len({verdict.chunks[0].id for verdict in verdicts}) == 30
