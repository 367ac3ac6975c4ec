"""Turns over HTTP through all three processes: each scenario of the agent, on both APIs, streamed and not."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.support.front import Front, text_of
from tests.support.howler import Howler

pytestmark = pytest.mark.asyncio(loop_scope="module")

TURN_1 = "This is turn 1."
UNICODE = '中文 é e\u0301 👩‍👩‍👧 \U0001f1e8\U0001f1f3 \u2028 עברית \u200d \ufeff <b>&amp;</b> \\ " \x7f'
SCENARIOS = {
    "Say hello": (f"You said: “Say hello”. {TURN_1}", "The user wrote 9 characters."),
    "/think": (f"You said: “/think”. {TURN_1}", "Thought 1. Thought 2. "),
    "/tools": (f"The tests pass. You said: “/tools”. {TURN_1}", "[tool] Bash: go test ./... -> done"),
    "/toolfail": (f"You said: “/toolfail”. {TURN_1}", "[tool] Bash: false -> failed: exit status 1"),
    "/plan": (f"Step 1. Step 2. Step 3. You said: “/plan”. {TURN_1}", "- [~] Locate panic\n- [ ] Fix it"),
    "/usage": (f"Counting. You said: “/usage”. {TURN_1}", ""),
    "/ask": ("You answered: Which pipeline? all.", "[question] Which pipeline? -> all"),
    "/ask2": (
        "You answered: Which language? Go; Which targets? linux.",
        "[question] Which targets? -> linux",
    ),
    "/image": (f"Here is a picture: You said: “/image”. {TURN_1}", "[image] image/png, 70 bytes"),
    "/retry": (f"You said: “/retry”. {TURN_1}", "[llm retry]"),
    "/compact": (f"You said: “/compact”. {TURN_1}", "[compaction started]"),
    "/unknown": (f"You said: “/unknown”. {TURN_1}", ""),
    "/unicode": (UNICODE, ""),
    "/burst 1000": ("".join(f"tok{n} " for n in range(1000)), ""),
    "/big 3000000": (f"You said: “/big 3000000”. {TURN_1}", "[tool] Bash: cat big -> done"),
    "/long 300000": ("x" * 300_000, ""),
    "/empty": ("", ""),
    "/all": (f"Let me look. One moment. You said: “/all”. {TURN_1}", "[tool] Grep: TODO -> failed"),
}
"""Prompt: the whole answer, and something that must stand in what goes beside it on chat."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    async with Howler(tmp_path_factory.mktemp("turns")) as running:
        # A turn that was over before its stream was attached to is a replay, which moves text past plans.
        await running.sandbox.faults(platform={"fold": False})
        yield running


@pytest.mark.parametrize("prompt", SCENARIOS)
async def test_every_scenario_in_all_four_shapes(front: Front, prompt: str) -> None:
    """P2.1, P6.1, P6.2, P6.4, P6.5, P7.4, P8.2, P8.5: one answer, whichever way it is told."""
    answer, beside = SCENARIOS[prompt]
    chat, whole_chat, response, whole_response = await asyncio.gather(
        front.chat(prompt), front.whole_chat(prompt), front.response(prompt), front.whole_response(prompt)
    )
    assert chat.content == answer
    assert beside in chat.reasoning
    assert chat.finish_reason == "stop"
    message = whole_chat.choices[0].message
    assert message.content == answer
    assert (message.model_extra or {}).get("reasoning_content", "") == chat.reasoning
    assert response.text == answer
    assert response.terminal == "response.completed"
    assert text_of(whole_response) == answer
    assert [item.type for item in whole_response.output] == [item.type for item in response.items]


async def test_tool_calls_are_told_as_run_already(front: Front) -> None:
    """P6.3, P8.3, P8.4: no client runs an agent's tool again; a failed one is marked so."""
    tools, failing = await asyncio.gather(front.response("/tools"), front.response("/toolfail"))
    calls = [item.done for item in tools.items if item.type == "mcp_call"]
    assert [(call.name, call.status) for call in calls] == [
        ("Bash", "completed"),
        ("Write", "completed"),
        ("Read", "completed"),
    ]
    assert "go test ./..." in calls[0].arguments
    assert "ok  1.2s" in calls[0].output
    assert tools.items[-1].type == "message"
    failed, endless = [item.done for item in failing.items if item.type == "mcp_call"]
    assert (failed.status, endless.status) == ("failed", "failed")
    assert failed.error


async def test_first_events_of_a_response(front: Front) -> None:
    """P8.1: created, in_progress, then the item and its part, each before its text."""
    verdict = await front.response("/burst 3")
    assert verdict.types[:5] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]


async def test_usage_is_told_where_it_is_asked_for(front: Front) -> None:
    """P6.4: in the last chunk of a chat that asks, in every whole answer, in every response."""
    chat, whole, response = await asyncio.gather(
        front.chat("count me", stream_options={"include_usage": True}),
        front.whole_chat("count me"),
        front.response("count me"),
    )
    usage = chat.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert whole.usage == usage
    told = response.response.usage
    assert (told.input_tokens, told.output_tokens, told.total_tokens) == (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    )


async def test_a_failure_after_acceptance(front: Front) -> None:
    """P7.5, P8.6: a chat ends with an error frame and [DONE], a response with response.failed alone."""
    chat, response = await asyncio.gather(front.chat("/error"), front.response("/error"))
    assert chat.content == "This will fail. "
    assert chat.finish_reason is None
    assert chat.error is not None
    assert "asked to fail" in chat.error["message"]
    assert response.text == "This will fail. "
    assert response.terminal == "response.failed"
    assert "error" not in response.types
    assert "asked to fail" in response.response.error.message


async def test_a_failure_of_a_whole_answer_is_a_status(front: Front) -> None:
    """P2.4, P7.3: never a 200; SDKs must not send the turn again, for it ran."""
    chat = await front.http.post("/v1/chat/completions", json={"messages": [USER_ERROR]})
    response = await front.http.post("/v1/responses", json={"input": USER_ERROR["content"]})
    for answer in (chat, response):
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "agent_error"
        assert answer.headers["x-should-retry"] == "false"


USER_ERROR = {"role": "user", "content": "/error"}


async def test_the_official_client(howler: Howler) -> None:
    """What a user of the openai package sees, by its own helpers."""
    async with howler.openai() as client:
        chunks = []
        async with client.chat.completions.stream(
            model="default", messages=[{"role": "user", "content": "hello"}]
        ) as chat:
            async for event in chat:
                if event.type == "content.delta":
                    chunks.append(event.delta)
            completion = await chat.get_final_completion()
        assert completion.choices[0].message.content == "".join(chunks) == f"You said: “hello”. {TURN_1}"
        async with client.responses.stream(model="default", input="/all") as stream:
            types = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert types[-1] == "response.completed"
        assert final.output_text.endswith(TURN_1)
        whole = await client.responses.create(model="default", input="hello")
        assert whole.output_text == f"You said: “hello”. {TURN_1}"


async def test_fifty_at_once_each_get_their_own(howler: Howler) -> None:
    """P1.2, P3.3: many turns on one loop, none sees a word of another."""

    async def ask(client: AsyncOpenAI, number: int) -> str:
        prompt = f"client {number} wants {hashlib.sha256(str(number).encode()).hexdigest()}"
        if number % 2:
            stream = await client.chat.completions.create(
                model="default", messages=[{"role": "user", "content": prompt}], stream=True
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        else:
            text = (await client.responses.create(model="default", input=prompt)).output_text
        assert text == f"You said: “{prompt}”. {TURN_1}"
        return text

    async with howler.openai() as client:
        answers = await asyncio.gather(*(ask(client, number) for number in range(50)))
    assert len(set(answers)) == 50


async def test_turns_leave_nothing_behind(howler: Howler, front: Front) -> None:
    """P3.2: no socket stays; tasks that wait for more leave a slot of four free (HOWLER_FREE_SLOTS)."""
    await front.chat("the last one")

    async def settled() -> bool:
        state = await howler.sandbox.state()
        slots = sum(one["slots"] for one in state["accounts"])
        used = sum(one["active_tasks"] for one in state["accounts"])
        return not state["sockets"]["open"] and used <= slots - slots // 4

    async with asyncio.timeout(60):
        while not await settled():
            await asyncio.sleep(0.05)
