"""The OpenAPI document is what the facade does: its routes, its requests, its answers."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.routing import Route

from facade.app import all_routes
from facade.backend import Backend
from facade.openai.start import Rules
from facade.reference import document
from facade.reference.examples import CHAT_REQUESTS, COMPLETION_REQUESTS, RESPONSE_REQUESTS
from facade.reference.operations import Operation, operations
from facade.routes.front import Front
from tests.support.facade import accepted, ended, serve_facade, started, text, thought, tool
from tests.support.facade_peer import MODEL, Peer, serve_peer
from tests.support.openai_judge import judge_chat_completion, judge_chat_stream, judge_models
from tests.support.response_judge import judge_response, judge_response_stream

DOCUMENT = document()
OPERATIONS = operations()
UNDOCUMENTED = {
    ("get", "/openapi.json"),
    ("get", "/docs"),
    ("post", "/v1/responses/compact"),  # it is there to be a 404
}


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    peer = Peer([[accepted(), started(), thought("hm"), tool("a", 3), text("Hello"), ended()]])
    async with (
        serve_peer(peer) as target,
        serve_facade(target, rules=Rules(model_fallback=True)) as url,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def named(one: Operation) -> str:
    return f"{one.method} {one.path}"


async def test_it_is_served(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/openapi.json")).json() == DOCUMENT
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "openapi.json" in page.text
    assert all(f"<code>{one.path}</code>" in page.text for one in OPERATIONS)
    assert not re.search(r"<script|(src|href)=\"(?!#|openapi\.json)", page.text), (
        "it needs nothing from elsewhere"
    )


async def test_each_route_is_in_it_and_nothing_else() -> None:
    backend = Backend("127.0.0.1:1")  # nobody is asked
    routes = set()
    for route in all_routes(Front(backend, Rules(), 1000)):
        if isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            routes |= {(method.lower(), path) for method in route.methods or set() if method != "HEAD"}
    await backend.close()
    told = {(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert routes - UNDOCUMENTED == told


def test_a_header_about_tools_goes_with_bodies_that_declare_some() -> None:
    with_header = {
        path for path, methods in DOCUMENT["paths"].items() if "parameters/ClientTools" in json.dumps(methods)
    }
    assert with_header == {"/v1/chat/completions", "/v1/responses"}


def test_every_reference_is_there() -> None:
    for found in set(json.dumps(DOCUMENT).split('"$ref": "#/')[1:]):
        place: Any = DOCUMENT
        for step in found.partition('"')[0].split("/"):
            place = place[step]
        assert place


def test_examples_of_answers_are_answers() -> None:
    """As the openai package has them; the machines made them."""
    examples = {named(one): one.example for one in OPERATIONS}
    streams = {named(one): one.stream.encode() for one in OPERATIONS if one.stream}
    judge_chat_completion(json.dumps(examples["post /v1/chat/completions"]).encode())
    judge_response(json.dumps(examples["post /v1/responses"]).encode())
    judge_models(json.dumps(examples["get /v1/models"]).encode())
    judge_chat_stream(streams["post /v1/chat/completions"], include_usage=True)
    judge_response_stream(streams["post /v1/responses"])


NEEDS_MEMORY = (
    "/v1/responses/{",
    "/v1/conversations",
)  # tests/e2e: test_http_stored, test_http_conversation_items


@pytest.mark.parametrize(
    "one", [one for one in OPERATIONS if not one.path.startswith(NEEDS_MEMORY)], ids=named
)
async def test_answers_are_as_it_says(http: httpx2.AsyncClient, one: Operation) -> None:
    path = one.path.replace("{model_id}", MODEL.id)
    for body in (one.bodies or {"": None}).values():
        answer = await http.request(one.method.upper(), path, json=body)
        assert answer.status_code == 200, answer.text
        if isinstance(body, dict) and body.get("stream"):
            assert answer.headers["content-type"].startswith("text/event-stream")
        else:
            told = msgspec.json.decode(answer.content, type=one.answer)
            assert set(answer.json()) >= set(told.__struct_fields__) - {"completed_at"}
    msgspec.convert(one.example, one.answer)


def test_both_ways_of_asking_are_shown() -> None:
    for requests in (CHAT_REQUESTS, COMPLETION_REQUESTS, RESPONSE_REQUESTS):
        assert set(requests) == {"whole", "streamed"}
