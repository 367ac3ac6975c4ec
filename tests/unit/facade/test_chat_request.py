"""Bodies of POST /v1/chat/completions: what is asked of the agent, and what is refused."""

import json
from typing import Any

import pytest
from howler.task.v1.start_turn_pb2 import DetachAction, Durability, Role, StartTurn, TaskRetention

from facade.errors import ApiError
from facade.openai.chat_request import ChatRequest, read_chat
from facade.openai.memory import memory_of
from facade.openai.start import ForwardInstructions, Rules, UnsupportedParams, ignored_of, start_turn

USER = {"role": "user", "content": "hi"}


def read(**fields: Any) -> ChatRequest:
    return read_chat(json.dumps({"messages": [USER]} | fields).encode())


def refused(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read_chat(body)
    assert caught.value.status == 400
    return caught.value


def said(*messages: dict[str, Any]) -> list[tuple[int, str, str]]:
    conversation = read(messages=list(messages)).asked.conversation
    return [(message.role, message.text, message.name) for message in conversation.messages]


def test_a_conversation() -> None:
    assert said(
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c", "reasoning_content": "dropped"},
        {"role": "user", "content": "d", "name": "ann"},
    ) == [
        (Role.ROLE_USER, "a\nb", ""),
        (Role.ROLE_ASSISTANT, "c", ""),
        (Role.ROLE_USER, "d", "ann"),
    ]


def test_tool_calls_and_their_results() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": '{"tz":"UTC"}'}}
    assert said(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
    )[1:] == [
        (Role.ROLE_ASSISTANT, '(called the tool now with {"tz":"UTC"})', ""),
        (Role.ROLE_TOOL, "12:00", "now"),
    ]


def test_silent_tool_has_no_output() -> None:
    assert said(USER, {"role": "tool", "tool_call_id": "x", "content": ""})[-1] == (
        Role.ROLE_TOOL,
        "(no output)",
        "",
    )


def test_instructions_in_order() -> None:
    """P4.1: system and developer text is kept apart from the conversation."""
    messages = [
        {"role": "system", "content": "a"},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
    ]
    asked = read(messages=messages).asked
    assert asked.instructions == "a\n\nb"
    assert len(asked.conversation.messages) == 1


@pytest.mark.parametrize(
    ("policy", "tools", "forwarded"),
    [
        (ForwardInstructions.AUTO, [], True),
        (ForwardInstructions.AUTO, [{"type": "function"}], False),
        (ForwardInstructions.ALWAYS, [{"type": "function"}], True),
        (ForwardInstructions.NEVER, [], False),
    ],
)
def test_forwarding_of_instructions(
    policy: ForwardInstructions, tools: list[dict[str, str]], forwarded: bool
) -> None:
    """P4.1: a coding CLI's prompt describes its own machine."""
    asked = read(messages=[{"role": "system", "content": "s"}, USER], tools=tools).asked
    rules = Rules(forward_instructions=policy)
    assert start_turn(asked, rules, "p", "r").instructions == ("s" if forwarded else "")
    assert ("instructions" in ignored_of(asked, rules)) == (not forwarded)


@pytest.mark.parametrize(
    ("model", "fallback", "strict"),
    [
        ("gpt-x", False, True),
        ("gpt-x", True, False),
        ("", False, False),
        ("default", False, False),
        ("auto", False, False),
    ],
)
def test_strictness(model: str, fallback: bool, strict: bool) -> None:
    """P5.1: layers 5 and 6 serve only who asked for no model in particular."""
    start = start_turn(read(model=model).asked, Rules(model_fallback=fallback), "p", "r")
    assert (start.model, start.strict_model) == (model, strict)


def test_turn_ends_with_its_connection() -> None:
    start = start_turn(read().asked, Rules(), "principal", "req_1")
    assert isinstance(start, StartTurn)
    assert (start.principal, start.request_id) == ("principal", "req_1")
    assert start.on_detach.action == DetachAction.DETACH_ACTION_CANCEL
    assert start.retention == TaskRetention.TASK_RETENTION_STOP
    assert not start.recognise_history
    assert start.durability == Durability.DURABILITY_EPHEMERAL


def test_a_chat_is_recognised_by_its_history() -> None:
    """HOWLER_KEEP_CHATS: its task stays for the next message, or is stopped at once."""
    kept = start_turn(read().asked, Rules(), "p", "r", memory_of([], keep_chats=True))
    assert (kept.recognise_history, kept.retention) == (True, TaskRetention.TASK_RETENTION_KEEP)
    dropped = start_turn(read().asked, Rules(), "p", "r", memory_of([], keep_chats=False))
    assert (dropped.recognise_history, dropped.retention) == (False, TaskRetention.TASK_RETENTION_STOP)


def test_ignored_parameters_are_named() -> None:
    asked = read(temperature=0.5, seed=1, top_p=None, stop=[], whatever={}, n=1, stream=True).asked
    assert set(asked.ignored) == {"temperature", "seed", "whatever"}
    assert asked.stream


def test_ignored_names_fit_a_header() -> None:
    asked = read(**{"evil\r\nx-y: z": 1, "ключ": 1, "a" * 100: 1}, **{f"f{i}": 1 for i in range(99)}).asked
    assert len(asked.ignored) == 32
    assert all(name.startswith("f") for name in asked.ignored)


def test_usage_is_told_where_asked() -> None:
    assert read(stream_options={"include_usage": True}).include_usage
    assert not read(stream_options=None).include_usage


AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
        ({"tool_choice": "required"}, "tool_choice", "unsupported_value"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            "tool_choice",
            "unsupported_value",
        ),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "system", "content": "s"}]}, "messages", "invalid_value"),
        ({"messages": [{"role": "robot", "content": "s"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": "  "[:0]}]}, "messages[0]", "invalid_value"),
        ({"messages": [USER, {"role": "assistant", "content": "I"}]}, "messages[1]", "invalid_value"),
        ({"messages": [{"role": "user", "content": [AUDIO]}]}, "messages[0].content[0]", "unsupported_value"),
        ({"messages": [{"role": "user", "content": "a\x00b"}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"content": "a"}]}, "messages[0].role", "invalid_value"),
        ({"messages": "hi"}, "messages", "invalid_value"),
        ({"model": 5}, "model", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_value"),
    ],
)
def test_refusals_name_their_field(fields: dict[str, Any], param: str, code: str) -> None:
    error = refused(json.dumps({"messages": [USER]} | fields).encode())
    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"messages":[],"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":NaN}]}',
        b'{"messages":[{"role":"user","content":"a"}],"n":' + b"9" * 10_000 + b"}",
        b'{"messages":[{"role":"user","content":"a"}],"n":1e999}',
        b'{"messages":[{"role":"user","content":"a"}]} trailing',
    ],
    ids=range(15),
)
def test_hostile_bodies_are_400(body: bytes) -> None:
    assert refused(body).type == "invalid_request_error"


def test_unknown_fields_may_hold_anything() -> None:
    body = b'{"messages":[{"role":"user","content":"a","z":[{}]}],"x":9999999999999999999999,"y":"\\u0000"}'
    assert read_chat(body).asked.conversation.messages[0].text == "a"


def test_fields_without_effect_are_refused_where_the_operator_wants_it() -> None:
    """openai-surface.md §9: HOWLER_UNSUPPORTED_PARAMS."""
    strict = Rules(unsupported_params=UnsupportedParams.ERROR)
    assert ignored_of(read(user="u", metadata={"k": "v"}, stream=False).asked, strict) == ()
    with pytest.raises(ApiError) as caught:
        ignored_of(read(temperature=1, seed=2).asked, strict)
    assert (caught.value.status, caught.value.code) == (400, "unsupported_value")
    assert caught.value.param == "temperature"
