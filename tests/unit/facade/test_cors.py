"""Pages of allowed origins may use the API from a browser, no others (openai-surface.md §2)."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from facade.config import Settings, SettingsError
from tests.support.facade import accepted, ended, serve_facade, started, text
from tests.support.facade_peer import Peer, serve_peer
from tests.support.front import CHAT, chat_body
from tests.support.openai_judge import assert_error, judge_chat_stream

PAGE = "https://chat.example"
ASKED = "authorization,content-type,http-referer,x-api-key,x-stainless-os,x-title"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": ASKED}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    peer = Peer([[accepted(), started(), text("Hello"), ended()]])
    async with (
        serve_peer(peer) as target,
        serve_facade(target, origins=(PAGE, "app://local")) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


async def test_a_preflight_is_told_the_headers_that_it_asks_for(http: httpx2.AsyncClient) -> None:
    """P2.2: a literal `*` would not cover `authorization`."""
    answer = await http.options(CHAT, headers=PREFLIGHT | {"origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-headers"] == ASKED
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"]


async def test_a_page_reads_answers_and_their_ids(http: httpx2.AsyncClient) -> None:
    """P2.2: streams and errors alike."""
    stream = await http.post(CHAT, json=chat_body("hi", stream=True), headers={"origin": "app://local"})
    assert judge_chat_stream(stream.content).content == "Hello"
    failure = await http.post(CHAT, json={}, headers={"origin": PAGE})
    assert failure.status_code == 400
    for answer, origin in ((stream, "app://local"), (failure, PAGE)):
        assert answer.headers["access-control-allow-origin"] == origin
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example", f"{PAGE}.evil.example", "null", ""])
async def test_other_pages_are_told_nothing(http: httpx2.AsyncClient, origin: str) -> None:
    """P2.2"""
    preflight = await http.options(CHAT, headers=PREFLIGHT | {"origin": origin})
    assert preflight.status_code == 405
    assert_error(preflight.json())
    answer = await http.post(CHAT, json=chat_body("hi"), headers={"origin": origin})
    assert answer.status_code == 200
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


async def test_any_page_may_be_allowed() -> None:
    async with (
        serve_peer(Peer()) as target,
        serve_facade(target, origins=("*",)) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        answer = await client.get("/v1/models", headers={"origin": "https://anyone.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_origins_are_read_from_a_list() -> None:
    settings = Settings.load(cors_origins=f" {PAGE}, http://[::1]:3000 ,")
    assert settings.origins() == (PAGE, "http://[::1]:3000")
    assert Settings.load().origins() == ()
    for wrong in ("chat.example", f"{PAGE}/", "https://a b", f"{PAGE};*"):
        with pytest.raises(SettingsError, match="HOWLER_CORS_ORIGINS"):
            Settings.load(cors_origins=wrong)
