"""POST /v1/completions: what clients of the API before chats send, and what they understand."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion

from facade.errors import ApiError
from facade.openai.completion_request import read_completion
from facade.openai.completion_stream import CompletionStream
from facade.openai.presentation import Presentation
from tests.support.facade import accepted, ended, failed, serve_facade, started, text, thought, tool
from tests.support.facade_peer import MODEL, Peer, serve_peer
from tests.support.openai_judge import assert_error, assert_no_extras, sse_frames
from tests.support.recordings import recordings

ANSWER = [[accepted()], [started(), thought("hm"), tool("a", 3)], [text("Hello"), text(" you"), ended()]]


@pytest.fixture
async def peer() -> Peer:
    return Peer(ANSWER)


@pytest.fixture
async def url(peer: Peer) -> AsyncIterator[str]:
    async with serve_peer(peer) as target, serve_facade(target) as served:
        yield served


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as made:
        yield made


async def test_whole(client: openai.AsyncOpenAI, peer: Peer) -> None:
    answer = await client.completions.create(model=MODEL.id, prompt="hi")
    assert_no_extras(answer)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, answer.object) == ("Hello you", "stop", "text_completion")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 17
    assert [message.text for message in peer.starts[0].messages.messages] == ["hi"]


async def test_streamed(url: str) -> None:
    body = {"prompt": ["hi"], "stream": True, "stream_options": {"include_usage": True}, "temperature": 1}
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        answer = await http.post("/v1/completions", json=body)
    assert answer.headers["x-gateway-ignored-params"] == "temperature"
    *chunks, usage, done = [data for _, data in sse_frames(answer.content)]
    told = [Completion.model_construct(**json.loads(chunk)) for chunk in chunks]
    texts: list[Any] = [chunk.choices[0] for chunk in told]
    assert "".join(choice.text for choice in texts) == "Hello you"
    assert [choice.finish_reason for choice in texts] == [None] * (len(texts) - 1) + ["stop"]
    counted = Completion.model_validate_json(usage)
    assert (counted.choices, counted.usage is not None and counted.usage.total_tokens) == ([], 17)
    assert done == "[DONE]"
    assert {(chunk.id, chunk.created, chunk.model) for chunk in told} == {
        (counted.id, counted.created, MODEL.id)
    }


async def test_streamed_by_the_sdk(client: openai.AsyncOpenAI) -> None:
    stream = await client.completions.create(model=MODEL.id, prompt="hi", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "Hello you"


async def test_failures(client: openai.AsyncOpenAI, peer: Peer) -> None:
    """P2.4, P7.5"""
    peer.script = [[accepted(), started(), text("half"), failed(message="it broke")]]
    with pytest.raises(openai.InternalServerError, match="it broke"):
        await client.completions.create(model=MODEL.id, prompt="hi")
    stream = await client.completions.create(model=MODEL.id, prompt="hi", stream=True)
    with pytest.raises(openai.APIError, match="it broke"):
        [chunk async for chunk in stream]


def test_silences_and_bugs_are_told() -> None:
    stream = CompletionStream("cmpl-1", 1, "asked", Presentation(), include_usage=False)
    raw = stream.open() + stream.keep_alive() + stream.abandon(ApiError.of(1)) + stream.keep_alive()
    first, second, failure, done = [data for _, data in sse_frames(raw)]
    assert first == second
    assert_error(json.loads(failure))
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_value", "prompt"),
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": [1, 2]}, "unsupported_value", "prompt"),
        ({"prompt": [[1, 2]]}, "unsupported_value", "prompt"),
        ({"prompt": ["a", "b"]}, "unsupported_value", "prompt"),
        ({"prompt": {}}, "invalid_value", "prompt"),
        ({"prompt": "a\x00"}, "invalid_value", "prompt"),
        ({"prompt": "a", "n": 2}, "unsupported_value", "n"),
        ({"prompt": "a", "echo": True}, "unsupported_value", "echo"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_completion(json.dumps(fields).encode())
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)


def test_recorded_requests() -> None:
    (recorded,) = recordings("/v1/completions")
    assert read_completion(recorded.raw()).asked.conversation.messages[0].text == "hi"


async def test_input_tokens_are_estimated(client: openai.AsyncOpenAI, peer: Peer) -> None:
    """openai-surface.md §2; no turn is started for it."""
    counted = await client.responses.input_tokens.count(
        model=MODEL.id, input="é" * 9, instructions="be brief"
    )
    assert_no_extras(counted)
    assert counted.input_tokens == 7  # 18 + 8 bytes
    assert not peer.starts
