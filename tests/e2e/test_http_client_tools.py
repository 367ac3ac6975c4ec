"""Issue 6, client tools: an agent that knows only text calls the client's tools, through all three processes.

The sandbox's agent writes calls in the manners of sandbox/agent/manners.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from sandbox.agent.manners import HALLUCINATING, QUOTING, SLOPPY, WELL
from tests.support.client_tools import BASH, WEATHER, chat_tool, response_tool
from tests.support.front import Front
from tests.support.howler import Howler
from tests.support.response_judge import CLIENT_CALLS, SAFE_ITEMS

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT_TOOLS = [chat_tool("get_weather", WEATHER), chat_tool("bash", BASH)]
RESPONSE_TOOLS = [response_tool("get_weather", WEATHER), response_tool("bash", BASH)]
PARIS = '{"city":"Paris"}'
KINDS = SAFE_ITEMS | CLIENT_CALLS
MENDED = ("cut", "unclosed", "missing", "extra", "prose")
"""Manners whose first try is no call, and whose second one is."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    env = {"HOWLER_CLIENT_TOOLS": "emulate"}
    async with Howler(tmp_path_factory.mktemp("tools"), env=env) as running:
        yield running


def arguments_of(manner: str) -> str:
    """Return the arguments that come of a manner; all start from Paris."""
    return json.dumps(
        {"city": 'say "Paris"'} if manner == "unescaped" else {"city": "Paris"}, separators=(",", ":")
    )


@pytest.mark.parametrize("manner", [*WELL, *SLOPPY, *HALLUCINATING, *MENDED, "restarted"])
async def test_every_manner_of_calling_in_all_four_shapes(front: Front, manner: str) -> None:
    """§10: sloppy calls are understood, made-up results cut off, calls that cannot be read mended once."""
    prompt = f"/call {manner}"
    chat, whole, response, whole_response = await asyncio.gather(
        front.chat(prompt, tools=CHAT_TOOLS),
        front.whole_chat(prompt, tools=CHAT_TOOLS),
        front.response(prompt, KINDS, tools=RESPONSE_TOOLS),
        front.whole_response(prompt, KINDS, tools=RESPONSE_TOOLS),
    )
    times = 2 if manner == "parallel" else 1
    assert chat.calls == [("get_weather", arguments_of(manner))] * times
    assert chat.finish_reason == "tool_calls"
    choice = whole.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []] == chat.calls
    calls = [item.done for item in response.items if item.type == "function_call"]
    assert [(call.name, call.arguments) for call in calls] == chat.calls
    assert [item.type for item in whole_response.output] == [item.type for item in response.items]
    assert response.items[-1].type == "function_call"
    for text in (chat.content, choice.message.content or "", response.text):
        assert "sunny" not in text, "what the agent made up was told"
        assert "welcome" not in text
        assert "nonce" not in text or manner == "restarted"
    assert ("Let me look that up." in chat.content) == (manner == "talking")


@pytest.mark.parametrize("manner", [*QUOTING, "unknown", "never", "silent", "thinking"])
async def test_what_is_no_call_is_told_as_words(front: Front, manner: str) -> None:
    """§10, never accepted: bare JSON, other nonces, no nonce, thoughts, undeclared tools; nothing is lost."""
    chat, response = await asyncio.gather(
        front.chat(f"/call {manner}", tools=CHAT_TOOLS),
        front.response(f"/call {manner}", KINDS, tools=RESPONSE_TOOLS),
    )
    assert chat.calls == []
    assert chat.finish_reason == "stop"
    assert chat.content
    assert [item.type for item in response.items if item.type != "reasoning"] == ["message"]
    told = {
        "half": "and so on.",
        "codeblock": "is a call.",
        "comparison": "are no calls.",
        "never": "rather not.",
    }
    assert chat.content.endswith(told.get(manner, ""))


async def loop(client: AsyncOpenAI, messages: list[Any], **fields: Any) -> tuple[str, int]:
    """Run a client's tool loop over chat; return its last answer and how many results were given."""
    given = 0
    while True:
        answer = await client.chat.completions.create(
            model="default", messages=messages, tools=CHAT_TOOLS, **fields
        )
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return message.content or "", given
        for call in message.tool_calls:
            given += 1
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"sunny {given}"})


async def test_a_loop_of_several_rounds_over_chat(client: AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "/rounds 3 get_weather"}]
    answer, given = await loop(client, messages)
    assert given == 3
    assert answer == "The results: sunny 1; sunny 2; sunny 3."
    assert len({m["tool_call_id"] for m in messages if m["role"] == "tool"}) == 3


async def test_parallel_calls_are_answered_together(client: AsyncOpenAI) -> None:
    answer, given = await loop(client, [{"role": "user", "content": "/call parallel"}])
    assert (answer, given) == ("The results: sunny 1; sunny 2.", 2)
    answer, given = await loop(
        client, [{"role": "user", "content": "/call parallel"}], parallel_tool_calls=False
    )
    assert given == 1


async def test_a_loop_over_responses(client: AsyncOpenAI) -> None:
    items: list[Any] = [{"role": "user", "content": '/rounds 2 bash {"command": "ls"}'}]
    for number in (1, 2):
        async with client.responses.stream(model="default", input=items, tools=RESPONSE_TOOLS) as stream:
            async for _ in stream:
                pass
            response = await stream.get_final_response()
        (call,) = [item for item in response.output if item.type == "function_call"]
        assert (call.name, call.arguments) == ("bash", '{"command":"ls"}')
        items += [item.model_dump(exclude_none=True) for item in response.output]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": f"file{number}"})
    last = await client.responses.create(model="default", input=items, tools=RESPONSE_TOOLS)
    assert last.output_text == "The results: file1; file2."


async def test_the_helper_of_the_official_client_gathers_calls(client: AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="default", messages=[{"role": "user", "content": "/call talking"}], tools=CHAT_TOOLS
    ) as stream:
        kinds = [event.type async for event in stream]
        completion = await stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = completion.choices[0].message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("get_weather", PARIS)


async def test_tools_in_a_namespace_and_custom_tools(front: Front) -> None:
    """§10: Codex's nested functions are called by both names, custom tools with a text."""
    tools = [
        {"type": "namespace", "name": "agents", "tools": [response_tool("close", BASH)]},
        {"type": "custom", "name": "apply_patch"},
        {"type": "web_search"},
    ]
    nested, custom = await asyncio.gather(
        front.response('/call plain agents.close {"command": "x"}', KINDS, tools=tools),
        front.response('/call block apply_patch {"input": "*** Begin"}', KINDS, tools=tools),
    )
    call = nested.items[-1].done
    assert (call.type, call.namespace, call.name, call.arguments) == (
        "function_call",
        "agents",
        "close",
        '{"command":"x"}',
    )
    call = custom.items[-1].done
    assert (call.type, call.name, call.input) == ("custom_tool_call", "apply_patch", "*** Begin")


async def test_the_old_functions(client: AsyncOpenAI) -> None:
    functions: Any = [{"name": "get_weather", "parameters": WEATHER}]
    asked: Any = {
        "model": "default",
        "messages": [{"role": "user", "content": "/call plain"}],
        "functions": functions,
    }
    whole = await client.chat.completions.create(**asked)
    assert whole.choices[0].finish_reason == "function_call"
    assert whole.choices[0].message.function_call is not None
    assert whole.choices[0].message.function_call.arguments == PARIS
    chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
    called = [c.choices[0].delta.function_call for c in chunks if c.choices[0].delta.function_call]
    assert "".join(call.arguments or "" for call in called) == PARIS
    assert called[0].name == "get_weather"
    assert chunks[-1].choices[0].finish_reason == "function_call"


@pytest.mark.parametrize(
    ("choice", "manner", "called"),
    [
        ("none", "plain", 0),
        ("auto", "lazy", 0),
        ("required", "plain", 1),
        ("required", "lazy", 1),
        ("required", "silent", 0),
        ({"type": "function", "function": {"name": "get_weather"}}, "lazy", 1),
        ({"type": "function", "function": {"name": "bash"}}, "plain", 0),
    ],
)
async def test_tool_choice(front: Front, choice: Any, manner: str, called: int) -> None:
    """§10: `none` leaves no tools, `required` and a named one are insisted on once, and never fail."""
    chat = await front.chat(f"/call {manner}", tools=CHAT_TOOLS, tool_choice=choice)
    assert len(chat.calls) == called
    assert chat.finish_reason == ("tool_calls" if called else "stop")
    if choice == "none":
        assert chat.content == "There is no tool that I could call."


async def test_a_request_chooses(front: Front) -> None:
    """By the header, over the setting; a word that is none is a 400."""
    body = {"messages": [{"role": "user", "content": "/call plain"}], "tools": CHAT_TOOLS}
    for word, reason in (("ignore", "stop"), ("emulate", "tool_calls")):
        answer = await front.http.post(
            "/v1/chat/completions", json=body, headers={"x-gateway-client-tools": word}
        )
        assert answer.json()["choices"][0]["finish_reason"] == reason
    refused = await front.http.post(
        "/v1/chat/completions", json=body, headers={"x-gateway-client-tools": "maybe"}
    )
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-gateway-client-tools")


async def tasks_of(howler: Howler) -> int:
    return len((await howler.sandbox.state())["tasks"])


async def test_a_loop_stays_on_one_task(howler: Howler, client: AsyncOpenAI) -> None:
    """Issue 6: the same task is continued with the results, and with what the user says after them."""
    before = await tasks_of(howler)
    messages: list[Any] = [{"role": "user", "content": '/rounds 3 bash {"command": "pwd"}'}]
    await loop(client, messages)
    messages.append({"role": "user", "content": "thanks for that"})
    answer, _ = await loop(client, messages)
    assert "This is turn 5" in answer
    assert await tasks_of(howler) == before + 1


@pytest.mark.parametrize("manner", ["talking", "result", "cut", "parallel"])
async def test_the_results_reach_the_agent_that_called(
    howler: Howler, client: AsyncOpenAI, manner: str
) -> None:
    """However a call was written, cut off or mended, its conversation is found by what was told."""
    before = await tasks_of(howler)
    items: list[Any] = [{"role": "user", "content": f"/call {manner}"}]
    response = await client.responses.create(model="default", input=items, tools=RESPONSE_TOOLS)
    items += [item.model_dump(exclude_none=True) for item in response.output]
    items += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
        for item in response.output
        if item.type == "function_call"
    ]
    last = await client.responses.create(model="default", input=items, tools=RESPONSE_TOOLS)
    assert last.output_text.startswith("The results: sunny")
    assert await tasks_of(howler) == before + 1


async def test_a_turn_is_cut_where_the_agent_makes_things_up(howler: Howler, front: Front) -> None:
    """The upstream turn is interrupted behind the call, and its task stays for the results."""
    before = await tasks_of(howler)
    verdict = await front.chat("/call result", tools=CHAT_TOOLS)
    assert verdict.finish_reason == "tool_calls"
    assert await tasks_of(howler) == before + 1


async def test_the_agent_is_told_the_clients_system_prompt_and_tools(front: Front) -> None:
    """`auto` forwards what describes the client's machine where the agent works on it."""
    messages = [{"role": "system", "content": "x" * 1000}, {"role": "user", "content": "hello"}]
    emulated = await front.chat("", messages=messages, tools=CHAT_TOOLS)
    assert "The system prompt has" in emulated.content
    body = {"messages": messages, "tools": CHAT_TOOLS}
    ignored = await front.http.post(
        "/v1/chat/completions", json=body, headers={"x-gateway-client-tools": "ignore"}
    )
    assert "The system prompt has" not in ignored.json()["choices"][0]["message"]["content"]
