"""What a request tells of its conversation (openai-surface.md §3, §7.1)."""

import json
from typing import Any

import pytest

from facade.openai.hints import Hints, read_hints
from facade.openai.wire import members_of
from tests.support.recordings import recording


def hints(headers: dict[str, str] | None = None, **body: Any) -> Hints:
    return read_hints(headers or {}, members_of(json.dumps(body).encode()))


def test_codex_names_its_thread_and_turn() -> None:
    """The same in the turn that follows; another turn."""
    first, second = recording("codex-local-compaction"), recording("codex-resume-second-turn")
    before, after = (
        read_hints(first.headers, members_of(first.raw())),
        read_hints(second.headers, members_of(second.raw())),
    )
    assert before.client_session == after.client_session == "codex:01a20328-dacd-7d01-8d9b-735b44b7f0c1"
    assert (before.kind, after.kind) == ("compaction", "turn")
    assert before.client_turn
    assert before.client_turn != after.client_turn


def test_codex_without_its_headers_tells_it_in_the_body() -> None:
    """As it does over a WebSocket, whose frames have none."""
    recorded = recording("codex-local-compaction")
    told = read_hints({"originator": "codex_exec"}, members_of(recorded.raw()))
    assert told == read_hints(recorded.headers, members_of(recorded.raw()))


@pytest.mark.parametrize("name", ["opencode-chat-2", "opencode-responses-mcp-2"])
def test_opencode_names_its_session(name: str) -> None:
    recorded = recording(name)
    told = read_hints(recorded.headers, members_of(recorded.raw()))
    assert told.client_session == f"opencode:{recorded.headers['x-session-id']}"


def test_open_webui_names_its_chat() -> None:
    assert hints({"x-openwebui-chat-id": "c-1"}).client_session == "open-webui:c-1"


def test_a_session_is_named_on_purpose() -> None:
    assert hints({"x-gateway-session-id": " s-1 "}, metadata={"session_id": "s-2"}).session == "s-1"
    assert hints(metadata={"session_id": "s-2"}).session == "s-2"


def test_an_sdk_says_that_it_tries_again() -> None:
    first, second = recording("openai-node-retry-1"), recording("openai-node-retry-2")
    assert read_hints(first.headers, members_of(first.raw())).sent_before == 0
    assert read_hints(second.headers, members_of(second.raw())).sent_before == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, {"prompt_cache_key": "shared by all chats of an app"}),
        ({"thread-id": "t-1", "x-session-id": "s-1"}, {}),
        ({"x-gateway-session-id": "s" * 129}, {}),
        ({"x-gateway-session-id": "a\tb"}, {"metadata": {"session_id": 7}}),
        (
            {"originator": "codex_exec", "x-codex-turn-metadata": "{"},
            {"metadata": "x", "client_metadata": []},
        ),
        ({"originator": "codex_exec", "x-codex-turn-metadata": "[" * 5000}, {"prompt_cache_key": {}}),
        ({"x-stainless-retry-count": "-1"}, {}),
        ({"x-stainless-retry-count": "٣"}, {}),
    ],
)
def test_what_tells_nothing(headers: dict[str, str], body: dict[str, Any]) -> None:
    assert hints(headers, **body) == Hints()
