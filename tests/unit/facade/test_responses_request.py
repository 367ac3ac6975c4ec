"""Bodies of POST /v1/responses: what is asked of the agent, what is echoed, what is refused."""

import json
from typing import Any

import pytest
from howler.task.v1.start_turn_pb2 import Role

from facade.errors import ApiError
from facade.openai.responses_request import ResponsesRequest, read_responses


def read(**fields: Any) -> ResponsesRequest:
    return read_responses(json.dumps({"input": "hi"} | fields).encode())


def said(*items: dict[str, Any]) -> list[tuple[int, str, str]]:
    conversation = read(input=list(items)).asked.conversation
    return [(message.role, message.text, message.name) for message in conversation.messages]


def test_a_string() -> None:
    (message,) = read().asked.conversation.messages
    assert (message.role, message.text) == (Role.ROLE_USER, "hi")


def test_items_of_every_shape() -> None:
    assert said(
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text"}]},
        {"type": "mcp_call", "id": "mcp_1", "name": "Bash", "arguments": "{}", "output": {"odd": 1}},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "something_new", "role": "user", "content": 5, "output": [1]},
        {
            "type": "message",
            "id": "msg_2",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "text"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "y"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "e"}]},
    ) == [
        (Role.ROLE_USER, "a", ""),
        (Role.ROLE_ASSISTANT, "b", ""),
        (Role.ROLE_ASSISTANT, '(called the tool f with {"x":1})', ""),
        (Role.ROLE_TOOL, "42", "f"),
        (Role.ROLE_ASSISTANT, "(called the tool g with text)", ""),
        (Role.ROLE_TOOL, "y", "g"),
        (Role.ROLE_USER, "e", ""),
    ]


def test_instructions() -> None:
    """P4.1: `instructions`, then system and developer messages."""
    items = [{"role": "system", "content": "b"}, {"role": "user", "content": "u"}]
    assert read(instructions="a", input=items).asked.instructions == "a\n\nb"


def test_echo() -> None:
    echo = read(
        instructions="a",
        metadata={"k": "v"},
        tools=[{"type": "function", "name": "f"}, {"type": "namespace", "odd": []}],
        tool_choice="none",
        parallel_tool_calls=False,
        temperature=0.5,
        reasoning={"effort": "high", "summary": "unheard of"},
        store=True,
    ).echo
    assert (echo.instructions, echo.metadata, echo.tool_choice) == ("a", {"k": "v"}, "none")
    assert [tool.name for tool in echo.tools] == ["f"]
    assert (echo.effort, echo.summary, echo.temperature, echo.store) == ("high", None, 0.5, True)
    assert not echo.parallel_tool_calls


def test_ignored_parameters_are_named() -> None:
    asked = read(include=["x"], text={"verbosity": "low"}, store=False, stream=True, tools=[]).asked
    assert set(asked.ignored) == {"include", "text"}


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"background": True, "store": False}, "background", "invalid_value"),
        ({"previous_response_id": "r", "conversation": "c"}, "previous_response_id", "invalid_value"),
        ({"conversation": {"id": 5}}, "conversation", "invalid_value"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_value"),
        ({"tool_choice": "required"}, "tool_choice", "unsupported_value"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", "unsupported_value"),
        ({"input": None}, "input", "invalid_value"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "invalid_value"),
        ({"input": ["text"]}, "input[0]", "invalid_value"),
        ({"input": [{"type": 5}]}, "input[0].type", "invalid_value"),
        ({"input": [{"type": "message"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content", "invalid_value"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
            "invalid_value",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0]",
            "invalid_value",
        ),
        ({"input": [{"role": "assistant", "content": "a"}]}, "input[0]", "invalid_value"),
        ({"input": "a\x00"}, "input", "invalid_value"),
        ({"instructions": "a\x00"}, "instructions", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "invalid_value"),
        ({"metadata": {"k": 5}}, "metadata[...]", "invalid_value"),
    ],
)
def test_refusals_name_their_field(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        read(**fields)
    error = caught.value
    assert (error.status, error.param, error.code) == (400, param, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"input":[{"role":"user","content":"\\udfff"}]}',
        b'{"input":[' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}",
        b'{"input":"a","tools":[{"type":"function","name":"f","parameters":'
        + b'{"a":' * 5_000
        + b"1"
        + b"}" * 5_000
        + b"}]}",
        b'{"input":"a","temperature":NaN}',
        b'{"input":"a","max_output_tokens":1e9999}',
        b'{"input":"a","tool_choice":{"mode":"\xff"}}',
    ],
    ids=range(6),
)
def test_hostile_bodies_are_400(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read_responses(body)
    assert caught.value.status == 400
