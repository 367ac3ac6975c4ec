"""What real clients send is served, each by one turn (openai-surface.md §5.4, §6.7, §13)."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.facade import accepted, ended, serve_facade, started, text, thought, tool
from tests.support.facade_peer import Peer, serve_peer
from tests.support.front import CHAT, RESPONSES
from tests.support.openai_judge import judge_chat_completion, judge_chat_stream
from tests.support.recordings import Recording, recordings
from tests.support.response_judge import judge_response, judge_response_stream

ANSWER = [[accepted(), started(), thought("hm"), tool("a", 3, output="ok"), text("PONG"), ended()]]
STATEFUL = {"previous_response_id", "background", "conversation"}
IMAGES = {"codex-exec-image"}
AUXILIARY = {"opencode-chat-1", "opencode-responses-mcp-1", "codex-local-compaction"}


def served(path: str) -> list[Recording]:
    return [one for one in recordings(path) if not STATEFUL & set(one.body) and one.name not in IMAGES]


@pytest.fixture
async def peer() -> Peer:
    return Peer(ANSWER)


@pytest.fixture
async def http(peer: Peer) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        serve_peer(peer) as target,
        serve_facade(target) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


async def answer_to(http: httpx2.AsyncClient, recorded: Recording) -> bytes:
    answer = await http.post(recorded.path, content=recorded.raw(), headers=recorded.headers)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("recorded", served(CHAT), ids=lambda one: one.name)
async def test_chats(http: httpx2.AsyncClient, peer: Peer, recorded: Recording) -> None:
    raw = await answer_to(http, recorded)
    if recorded.body.get("stream"):
        options = recorded.body.get("stream_options") or {}
        said = judge_chat_stream(raw, include_usage=bool(options.get("include_usage"))).content
    else:
        said = judge_chat_completion(raw).choices[0].message.content or ""
    assert said == ("Say PONG" if recorded.name in AUXILIARY else "PONG")
    assert len(peer.starts) == (recorded.name not in AUXILIARY)


@pytest.mark.parametrize("recorded", served(RESPONSES), ids=lambda one: one.name)
async def test_responses(http: httpx2.AsyncClient, peer: Peer, recorded: Recording) -> None:
    raw = await answer_to(http, recorded)
    if recorded.body.get("stream"):
        assert judge_response_stream(raw).terminal == "response.completed"
    else:
        assert judge_response(raw).status == "completed"
    assert len(peer.starts) == (recorded.name not in AUXILIARY)
