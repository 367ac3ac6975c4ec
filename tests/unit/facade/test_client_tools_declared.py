"""Issue 6, client tools: what a request declares and chooses, and what the agent is told of it."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from facade.errors import ApiError
from facade.openai.chat_request import read_chat
from facade.openai.client_tools.declared import ClientTools, Kind
from facade.openai.client_tools.history import past_call, past_result
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.client_tools.prompt import declaration, guidance, insisting
from facade.openai.client_tools.reading import choose, read_functions, read_tools
from facade.openai.responses_request import read_responses
from tests.support.client_tools import BASH, NONCE, WEATHER, chat_tool, response_tool, tools

EMULATE = ClientToolsMode.EMULATE


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def raws(values: list[Any]) -> list[Raw]:
    return msgspec.json.decode(json.dumps(values), type=list[Raw])


DECLARED = [
    response_tool("get_weather", WEATHER),
    chat_tool("bash", BASH),
    {
        "type": "custom",
        "name": "apply_patch",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
    },
    {"type": "custom", "custom": {"name": "sql", "description": "Runs SQL"}},
    {"type": "namespace", "name": "agents", "tools": [response_tool("close", BASH)]},
    {"type": "web_search"},
    {"type": "mcp", "server_label": "x"},
]


def test_tools_of_either_api_are_read_and_those_of_a_server_passed_over() -> None:
    read = read_tools(raws(DECLARED))
    assert [(tool.full_name, tool.kind) for tool in read] == [
        ("get_weather", Kind.FUNCTION),
        ("bash", Kind.FUNCTION),
        ("apply_patch", Kind.CUSTOM),
        ("sql", Kind.CUSTOM),
        ("agents.close", Kind.FUNCTION),
    ]
    assert "start: x" in read[2].description
    assert read_functions(raws([{"name": "f", "parameters": BASH}]))[0].kind is Kind.LEGACY


@pytest.mark.parametrize(
    ("choice", "names", "required"),
    [
        (None, ["get_weather", "bash"], False),
        ("auto", ["get_weather", "bash"], False),
        ("required", ["get_weather", "bash"], True),
        ({"type": "function", "name": "bash"}, ["bash"], True),
        ({"type": "function", "function": {"name": "bash"}}, ["bash"], True),
        ({"name": "bash"}, ["bash"], True),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "bash"}]},
            ["bash"],
            False,
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "bash"}}],
                },
            },
            ["bash"],
            True,
        ),
    ],
)
def test_choices(choice: Any, names: list[str], required: bool) -> None:
    chosen = choose(read_tools(raws(DECLARED[:2])), raw(choice), parallel=True)
    assert chosen is not None
    assert [tool.name for tool in chosen.callable] == names
    assert (chosen.required, chosen.single, len(chosen.declared)) == (required, False, 2)


def test_a_choice_of_none_leaves_nothing() -> None:
    assert choose(read_tools(raws(DECLARED)), raw("none"), parallel=True) is None
    assert choose([], raw("auto"), parallel=True) is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tool_choice": "sometimes", "tools": DECLARED[:1]}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "rm"}, "tools": DECLARED[:1]}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}, "tools": DECLARED[:1]}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": 1}]}, "tools[0].parameters"),
        ({"tools": [7]}, "tools[0]"),
    ],
)
def test_what_is_wrong_is_a_400_that_names_it(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        read_responses(json.dumps({"input": "hi"} | body).encode(), EMULATE)
    assert (raised.value.status, raised.value.param) == (400, param)


def test_a_forced_tool_is_refused_only_where_tools_are_ignored() -> None:
    body = json.dumps(
        {
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [chat_tool("bash", BASH)],
            "tool_choice": "required",
        }
    ).encode()
    with pytest.raises(ApiError) as raised:
        read_chat(body)
    assert raised.value.code == "unsupported_value"
    asked = read_chat(body, EMULATE).asked
    assert asked.client_tools is not None
    assert asked.client_tools.required
    assert asked.ignored == ()


def test_the_old_functions_are_called_one_at_a_time() -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "functions": [{"name": "f", "parameters": BASH}]}
    asked = read_chat(json.dumps(body | {"function_call": {"name": "f"}}).encode(), EMULATE).asked
    assert asked.client_tools is not None
    assert (asked.client_tools.required, asked.client_tools.single) == (True, True)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bash", "bash"),
        (" bash ", "bash"),
        ("Bash", "bash"),
        ("getWeather", "get_weather"),
        ("agents.close", "agents.close"),
        ("close", "agents.close"),
        ("agents__close", "agents.close"),
        ("basher", None),
        ("", None),
    ],
)
def test_names(name: str, found: str | None) -> None:
    tool = tools().find(name)
    assert (tool and tool.full_name) == found


def test_a_name_that_two_namespaces_have_is_nobodys() -> None:
    two = read_tools(
        raws(
            [
                {"type": "namespace", "name": space, "tools": [response_tool("close", BASH)]}
                for space in ("a", "b")
            ]
        )
    )
    chosen = ClientTools(tuple(two), tuple(two))
    assert chosen.find("close") is None
    assert chosen.find("b.close") is two[1]


def test_the_agent_is_told_the_tools_and_how_to_call_them() -> None:
    told = declaration(tools())
    assert "off limits" in told
    assert '"name":"agents.close"' in told
    assert NONCE not in told  # the task's instructions outlive the request
    shown = guidance(tools(), NONCE)
    assert f'<tool_call nonce="{NONCE}">' in shown
    assert "get_weather(city: string, days?: integer)" in shown
    assert "may follow each other" in shown
    assert "one call at most" in guidance(tools(single=True), NONCE)
    assert "must call at least one" in guidance(tools(required=True), NONCE)
    only = ClientTools(tools().declared, tools().declared[:1], required=True)
    assert "must be a call of get_weather" in guidance(only, NONCE)
    assert "must be a call of get_weather" in insisting(only)


def test_guidance_names_the_tools_and_leaves_their_descriptions_out() -> None:
    """A prompt to a task that exists must fit a frame of 32,768 bytes (upstream-protocol §6.1)."""
    many = {"type": "object", "properties": {f"argument_{n}": {"type": "string"} for n in range(30)}}
    declared = read_tools(
        raws([response_tool(f"tool_{n}", many | {"description": "x" * 2_000}) for n in range(12)])
    )
    told = ClientTools(tuple(declared), tuple(declared))
    assert len(guidance(told, NONCE).encode()) < 8_000
    assert len(declaration(told).encode()) > 24_000


def test_history_reads_the_same_however_a_client_spells_it() -> None:
    once = past_call("f", '{"a": 1, "b": "é"}', "call_1")
    assert once == past_call("f", '{ "a":1,"b":"\\u00e9" }', "call_1")
    assert once == '<tool_call id="call_1">{"name":"f","arguments":{"a":1,"b":"é"}}</tool_call>'
    assert past_call("f", "", 'x"y>') == '<tool_call id="xy">{"name":"f","arguments":{}}</tool_call>'
    assert (
        past_call("p", "*** Begin", "1")
        == '<tool_call id="1">{"name":"p","arguments":{"input":"*** Begin"}}</tool_call>'
    )
    assert past_result("ok", "f", "call_1") == '<tool_result id="call_1" name="f">\nok\n</tool_result>'


def test_past_calls_and_results_in_a_chat() -> None:
    """Results of parallel calls are one message; a call stands with the words of its assistant."""
    call = {"type": "function", "function": {"name": "bash", "arguments": '{"command": "ls"}'}}
    body = {
        "messages": [
            {"role": "user", "content": "list"},
            {
                "role": "assistant",
                "content": "Sure.",
                "tool_calls": [call | {"id": "c1"}, call | {"id": "c2"}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a"},
            {"role": "tool", "tool_call_id": "c2", "content": ""},
        ],
        "tools": [chat_tool("bash", BASH)],
    }
    messages = read_chat(json.dumps(body).encode(), EMULATE).asked.conversation.messages
    assert messages[-1].text == (
        '<tool_result id="c1" name="bash">\na\n</tool_result>\n'
        '<tool_result id="c2" name="bash">\n(no output)\n</tool_result>'
    )
    said = "".join(message.text for message in messages[1:-1])
    assert said.startswith('Sure.<tool_call id="c1">{"name":"bash"')


def test_past_calls_and_results_in_a_response() -> None:
    items = [
        {"role": "user", "content": "x"},
        {"type": "function_call", "name": "close", "namespace": "agents", "call_id": "c1", "arguments": "{}"},
        {"type": "custom_tool_call", "name": "apply_patch", "call_id": "c2", "input": "*** Begin"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "ok"}],
        },
    ]
    messages = read_responses(json.dumps({"input": items}).encode(), EMULATE).asked.conversation.messages
    assert '{"name":"agents.close","arguments":{}}' in messages[1].text
    assert messages[-1].text.count("<tool_result ") == 2
    assert "*** Begin" in "".join(message.text for message in messages)
