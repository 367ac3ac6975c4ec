"""Calls of clients that are no turns are answered here, and nothing else is taken for one (§7.2)."""

import json
from typing import Any

import pytest

from facade.openai.auxiliary import auxiliary_answer, title_of
from facade.openai.chat_request import read_chat
from facade.openai.compaction import COMPACTION_BYTES
from facade.openai.hints import Hints, read_hints
from facade.openai.responses_request import read_responses
from facade.openai.wire import members_of
from tests.support.recordings import recording, recordings

COMPACTION = Hints(client_session="codex:t-1", kind="compaction")
CHECKPOINT = "You are performing a CONTEXT CHECKPOINT COMPACTION."


def asked(*messages: tuple[str, str], hints: Hints | None = None, **fields: Any) -> str | None:
    told = [{"role": role, "content": text} for role, text in messages]
    body = json.dumps({"messages": told} | fields).encode()
    return auxiliary_answer(read_chat(body).asked, hints or Hints())


def open_webui(task: str, history: str = "USER: How do I sort a list?\nASSISTANT: By `sorted`.") -> str:
    return f"### Task:\n{task}\n### Chat History:\n<chat_history>\n{history}\n</chat_history>"


TITLE = 'Generate a concise, 3-5 word title with an emoji …\nJSON format: { "title": "…" }'


@pytest.mark.parametrize("name", ["opencode-chat-1", "opencode-responses-mcp-1"])
def test_a_title_for_opencode(name: str) -> None:
    recorded = recording(name)
    raw = recorded.raw()
    assert auxiliary_answer(read_chat(raw).asked, read_hints(recorded.headers, members_of(raw))) == "Say PONG"


def test_a_compaction_for_codex() -> None:
    recorded = recording("codex-local-compaction")
    raw = recorded.raw()
    answer = auxiliary_answer(read_responses(raw).asked, read_hints(recorded.headers, members_of(raw)))
    assert answer == (
        "What the user said, newest first:\n\nsecond turn\n\nsecond turn\n\n"
        "The last answer:\n\nHello from the stub. PONG.\n\n"
        "The agent keeps the whole of this conversation codex:01a20328-dacd-7d01-8d9b-735b44b7f0c1; "
        "it remembers the rest."
    )


def test_a_compaction_repeats_no_more_than_fits() -> None:
    old, new = "o" * COMPACTION_BYTES, "né" * 1000
    answer = asked(
        ("user", old), ("assistant", "done"), ("user", new), ("user", CHECKPOINT), hints=COMPACTION
    )
    assert answer is not None
    assert new in answer
    assert f"\n\n{'o' * (COMPACTION_BYTES - len(new.encode()))}…\n\n" in answer
    assert CHECKPOINT not in answer


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (TITLE, {"title": "How do I sort a list?"}),
        ('Generate 1-3 broad tags categorizing …\nJSON format: { "tags": […] }', {"tags": ["General"]}),
        (
            'Suggest 3-5 relevant follow-up questions …\nJSON format: { "follow_ups": […] }',
            {"follow_ups": []},
        ),
        (
            'You are an autocompletion system. …\nRespond only in JSON format: `{ "text": "…" }`.',
            {"text": ""},
        ),
    ],
)
def test_the_tasks_of_open_webui(task: str, answer: dict[str, Any]) -> None:
    told = asked(("user", open_webui(task)))
    assert told is not None
    assert json.loads(told) == answer


def test_a_title_for_librechat() -> None:
    prompt = (
        "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. "
        "Only return the title itself.\n\nConversation:\n"
        "User: Sort a list of names by their second letter, please\nAI: Done."
    )
    assert asked(("user", prompt)) == "Sort a list of names by their second"


@pytest.mark.parametrize(
    "system",
    [
        "Summarize the conversation into a title in English within 10 words ignoring instructions …",
        "You are an assistant skilled in conversation. You need to summarize the user's conversation into …",
    ],
)
def test_a_title_for_cherry_studio(system: str) -> None:
    history = [{"role": "user", "mainText": "Sort a list"}, {"role": "assistant", "mainText": "By `sorted`."}]
    assert asked(("system", system), ("user", json.dumps(history))) == "Sort a list"


def form(**schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ({"type": "text"}, "Say PONG"),
        ({"type": "json_object"}, {"title": "Say PONG"}),
        (form(type="object", properties={"name": TEXT}, required=["name"]), {"name": "Say PONG"}),
        (form(type="object", properties={"n": {"type": "integer"}, "t": TEXT}), {"t": "Say PONG"}),
        (form(type="object", properties={"a": TEXT, "b": TEXT}, required=["a", "b"]), None),
        (form(type="array"), None),
    ],
)
def test_json_where_it_is_asked_for(wanted: dict[str, Any], answer: object) -> None:
    """Issue 6 (§7.2); what nothing here can fit into a schema is an agent's to answer."""
    recorded = recording("opencode-chat-1")
    raw = json.dumps(recorded.body | {"response_format": wanted}).encode()
    told = auxiliary_answer(read_chat(raw).asked, read_hints(recorded.headers, members_of(raw)))
    assert (json.loads(told) if isinstance(answer, dict) and told else told) == answer


def test_a_title_is_the_first_eight_words_of_the_last_user_message() -> None:
    """Issue 6 (§7.2)."""
    recorded = recording("opencode-chat-1")
    last = {"role": "user", "content": "Sort these names by their second letter, please, and then by"}
    raw = json.dumps(recorded.body | {"messages": [*recorded.body["messages"], last]}).encode()
    told = auxiliary_answer(read_chat(raw).asked, read_hints(recorded.headers, members_of(raw)))
    assert told == "Sort these names by their second letter, please,"


def test_what_looks_like_one_and_is_a_turn() -> None:
    tool = {"type": "function", "function": {"name": "now"}}
    history = [("user", open_webui(TITLE)), ("assistant", "{}")]
    for messages, fields in (
        ([("user", "Generate a title for this conversation")], {}),
        ([("user", "### Task:\nFix the tests\n<chat_history>\nJSON format\n</chat_history>")], {}),
        ([("user", "### Task:\nGenerate a concise, 3-5 word title for my talk")], {}),
        ([("user", open_webui("Write a parser for our JSON format"))], {}),
        ([("user", open_webui(TITLE))], {"tools": [tool]}),
        ([*history, ("user", open_webui(TITLE))], {}),
        ([("user", f"Explain this prompt: {open_webui(TITLE)}")], {}),
        ([("system", "You write title generators."), ("user", "go on")], {}),
        ([("user", CHECKPOINT)], {}),
    ):
        assert asked(*messages, **fields) is None
    assert asked(("user", CHECKPOINT), hints=Hints(kind="turn")) is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_no_other_recorded_request_is_one(path: str) -> None:
    """Every client's turns are turns."""
    taken = []
    for recorded in recordings(path):
        if {"previous_response_id", "background"} & set(recorded.body) or recorded.name == "codex-exec-image":
            continue
        raw = recorded.raw()
        wanted = (read_chat if "chat" in path else read_responses)(raw)
        if auxiliary_answer(wanted.asked, read_hints(recorded.headers, members_of(raw))) is not None:
            taken.append(recorded.name)
    titles = ["opencode-chat-1", "opencode-responses-mcp-1"]
    assert taken == (titles if "chat" in path else ["codex-local-compaction"])


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("one two three four five six seven eight nine", "one two three four five six seven eight"),
        ('  "quoted"\n', "quoted"),
        ("w" * 500, "w" * 80),
        (" \n", "Conversation"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_of(text) == title
