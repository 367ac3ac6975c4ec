"""The edges of the HTTP front: models, health, unknown paths, hostile bodies, a server that is away."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from openai import AsyncOpenAI, NotFoundError

from facade.backend.relay import Patience
from facade.openai.start import Rules
from tests.support.facade import serve_facade
from tests.support.facade_peer import MODEL, Peer, Refusal, serve_peer
from tests.support.openai_judge import assert_error, judge_models

MOST_BYTES = 2000


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
async def url(peer: Peer) -> AsyncIterator[str]:
    async with serve_peer(peer) as target, serve_facade(target, max_body_bytes=MOST_BYTES) as served:
        yield served


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        yield client


def error_of(answer: httpx2.Response) -> tuple[int, str | None]:
    error = assert_error(answer.json())
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return answer.status_code, error["code"]


async def test_model_list(http: httpx2.AsyncClient) -> None:
    """P2.1: for OpenAI's clients, and Codex's catalogue beside it."""
    answer = await http.get("/v1/models")
    (model,) = judge_models(answer.content)
    assert (model.id, model.owned_by) == (MODEL.id, "OpenAI")
    (entry,) = answer.json()["models"]
    assert (entry["slug"], entry["shell_type"], entry["context_window"]) == (MODEL.id, "disabled", 1000)


async def test_one_model_whose_id_has_slashes(url: str, peer: Peer) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        model = await client.models.retrieve(MODEL.id)
        assert model.id == MODEL.id
        with pytest.raises(NotFoundError) as caught:
            await client.models.retrieve("monkeycode/nobody/nothing")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert [request.strict for request in peer.resolves] == [True, True]


async def test_model_ids_are_unquoted(http: httpx2.AsyncClient, peer: Peer) -> None:
    await http.get("/v1/models/monkeycode%2FOpenAI%2Fgpt-x%232")
    assert peer.resolves[0].model == "monkeycode/OpenAI/gpt-x#2"


async def test_models_fail_as_the_server_does(http: httpx2.AsyncClient, peer: Peer) -> None:
    peer.script = [Refusal("UPSTREAM_UNAVAILABLE", "the platform is down", retry_after=9)]
    answer = await http.get("/v1/models")
    assert error_of(answer) == (503, "service_unavailable")
    assert answer.headers["retry-after"] == "9"


async def test_health(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/responses/resp_1/nothing", "/v1/models/"])
async def test_unknown_paths(http: httpx2.AsyncClient, path: str) -> None:
    assert error_of(await http.get(path)) == (404, "unknown_url")


async def test_wrong_method(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/v1/responses")
    assert error_of(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert error_of(await http.delete("/v1/models")) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_hostile_bodies(http: httpx2.AsyncClient, path: str) -> None:
    for body in (b"", b"{", b"\xff", b"[" * 1900, b'{"model":"\\ud800"}', b'{"model":NaN}', b"5"):
        answer = await http.post(path, content=body)
        status, _ = error_of(answer)
        assert status == 400


async def test_body_limit(http: httpx2.AsyncClient) -> None:
    """P2.3: told by its length or only as it comes."""
    big = json.dumps({"messages": [{"role": "user", "content": "a" * MOST_BYTES}]}).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 500):
            yield big[start : start + 500]

    assert error_of(await http.post("/v1/chat/completions", content=big)) == (413, "request_too_large")
    answer = await http.post("/v1/chat/completions", content=in_pieces())
    assert error_of(answer) == (413, "request_too_large")


async def test_server_that_is_away() -> None:
    async with (
        serve_facade("127.0.0.1:1", rules=Rules(model_fallback=True), patience=Patience(start=0.2)) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
    ):
        assert (await http.get("/healthz")).status_code == 200
        assert error_of(await http.get("/readyz")) == (503, "service_unavailable")
        assert error_of(await http.get("/v1/models")) == (503, "service_unavailable")
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
        answer = await http.post("/v1/chat/completions", json=body)
        assert error_of(answer) == (503, "service_unavailable")
        assert answer.headers["retry-after"]
