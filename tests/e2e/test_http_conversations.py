"""P10, issue 5 (Stateless clients): chats and responses of the official client, by what the platform saw."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputParam

from tests.support.howler import Howler
from tests.support.watched import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(howler: Howler, request: pytest.FixtureRequest) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client with a key of its own: nobody else's chats are in its way."""
    async with howler.openai().with_options(api_key=request.node.name) as official:
        yield official


class Chat:
    """A chat as every client keeps one: the messages so far, all of them sent each time."""

    def __init__(self, client: openai.AsyncOpenAI, **fields: Any) -> None:
        self.client = client
        self.messages: list[ChatCompletionMessageParam] = []
        self.fields: dict[str, Any] = {"model": "default"} | fields

    async def say(self, text: str) -> str:
        """Say something, streamed, and take the answer down."""
        self.messages.append({"role": "user", "content": text})
        answer = ""
        stream = await self.client.chat.completions.create(messages=self.messages, stream=True, **self.fields)
        async for chunk in stream:
            for choice in chunk.choices:
                answer += choice.delta.content or ""
        self.messages.append({"role": "assistant", "content": answer})
        return answer

    async def ask(self, text: str) -> str:
        """Say something, not streamed, and take the answer down as the client gives it."""
        self.messages.append({"role": "user", "content": text})
        whole = await self.client.chat.completions.create(messages=self.messages, **self.fields)
        message = whole.choices[0].message
        self.messages.append({"role": "assistant", "content": message.content})
        return message.content or ""


async def tasks_with(howler: Howler, text: str) -> list[dict[str, Any]]:
    """Return the tasks of which a prompt holds a text."""
    tasks: list[dict[str, Any]] = (await howler.sandbox.state())["tasks"]
    return [task for task in tasks if any(text in turn["prompt"] for turn in task["turns"])]


def prompts(task: dict[str, Any]) -> list[str]:
    return [turn["prompt"] for turn in task["turns"]]


async def test_one_task_hears_each_message_once(howler: Howler, client: openai.AsyncOpenAI) -> None:
    chat = Chat(client)
    await chat.say("remember 4711")
    assert "before that you said “remember 4711”" in await chat.say("and now?")
    assert "This is turn 3" in await chat.ask("not streamed")
    assert "This is turn 4" in await chat.say("streamed again")
    (task,) = await tasks_with(howler, "remember 4711")
    assert prompts(task) == ["remember 4711", "and now?", "not streamed", "streamed again"]
    assert task["status"] == "processing", "it waits for more"


@pytest.mark.parametrize(
    "prompt", ["/tools", "/think", "/unicode", "/all", "/ask", "/plan", "/compact", "/empty"]
)
async def test_whatever_the_agent_did_meanwhile(
    howler: Howler, client: openai.AsyncOpenAI, prompt: str
) -> None:
    """Tools, thoughts and plans stand beside the answer; what a client sends back is the answer."""
    chat = Chat(client)
    first = f"begin {client.api_key}"
    await chat.say(first)
    await chat.say(prompt)
    await chat.say("and then?")
    (task,) = await tasks_with(howler, first)
    assert prompts(task) == [first, prompt, "and then?"]


async def test_responses_are_recognised_by_their_items(howler: Howler, client: openai.AsyncOpenAI) -> None:
    """Reasoning, the agent's own calls and several messages of one answer come back as items of the input."""
    items: ResponseInputParam = []
    for text in ("first of all", "/tools", "/think", "at last"):
        items.append({"role": "user", "content": text})
        response = await client.responses.create(model="default", input=items, store=False)
        items += [item.model_dump(exclude_none=True) for item in response.output]  # type: ignore[misc]
    (task,) = await tasks_with(howler, "first of all")
    assert prompts(task) == ["first of all", "/tools", "/think", "at last"]


async def test_chats_and_responses_know_each_other(howler: Howler, client: openai.AsyncOpenAI) -> None:
    """What was said is what was said, whichever API said it."""
    chat = Chat(client)
    answer = await chat.say("said in a chat")
    await client.responses.create(
        model="default",
        store=False,
        input=[
            {"role": "user", "content": "said in a chat"},
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "said in a response"},
        ],
    )
    (task,) = await tasks_with(howler, "said in a chat")
    assert prompts(task) == ["said in a chat", "said in a response"]


async def test_an_edited_message_goes_to_another_agent(howler: Howler, client: openai.AsyncOpenAI) -> None:
    chat = Chat(client)
    await chat.say("edit me")
    await chat.say("more")
    chat.messages[0] = {"role": "user", "content": "edited already"}
    await chat.say("most")
    old, new = await tasks_with(howler, "edit me")  # the new agent is told what the old one answered
    assert prompts(old) == ["edit me", "more"]
    assert prompts(new)[0].endswith("most")


async def test_a_regenerated_answer_comes_of_another_agent(
    howler: Howler, client: openai.AsyncOpenAI
) -> None:
    chat = Chat(client)
    await chat.say("to be answered twice")
    del chat.messages[-1:]
    del chat.messages[-1:]
    await chat.say("to be answered twice")
    assert len(await tasks_with(howler, "to be answered twice")) == 2


async def test_the_same_words_at_the_same_time(howler: Howler, client: openai.AsyncOpenAI) -> None:
    """As benchmarks and batch jobs do: each chat keeps an agent of its own."""
    chats = [Chat(client) for _ in range(5)]
    await asyncio.gather(*(chat.say("the same words") for chat in chats))
    await asyncio.gather(*(chat.say("and the same again") for chat in chats))
    await asyncio.gather(*(chat.say(f"but I am {number}") for number, chat in enumerate(chats)))
    tasks = await tasks_with(howler, "the same words")
    assert len(tasks) == 5
    assert [prompts(task)[:2] for task in tasks] == [["the same words", "and the same again"]] * 5
    assert sorted(prompts(task)[2] for task in tasks) == [f"but I am {number}" for number in range(5)]


async def test_another_key_is_another_caller(howler: Howler, client: openai.AsyncOpenAI) -> None:
    chat = Chat(client)
    await chat.say("mine alone")
    thief = Chat(client.with_options(api_key="another"))
    thief.messages = [*chat.messages]
    await thief.say("and what else?")
    mine, theirs = await tasks_with(howler, "mine alone")
    assert prompts(mine) == ["mine alone"]
    assert len(prompts(theirs)) == 1


async def test_a_system_prompt_stays_with_its_chat(howler: Howler, client: openai.AsyncOpenAI) -> None:
    chat = Chat(client)
    chat.messages.append({"role": "system", "content": "be brief"})
    await chat.say("with a system prompt")
    await chat.say("still with it")
    chat.messages[0] = {"role": "system", "content": "be long"}
    await chat.say("with another one")
    one, other = await tasks_with(howler, "with a system prompt")
    assert (one["system_prompt"], prompts(one)) == ("be brief", ["with a system prompt", "still with it"])
    assert other["system_prompt"] == "be long"


async def test_results_of_the_clients_tools_go_to_the_agent_that_waits(
    howler: Howler, client: openai.AsyncOpenAI
) -> None:
    chat = Chat(client)
    await chat.say("a tool will follow")
    chat.messages.append({"role": "tool", "tool_call_id": "c1", "content": "the result"})
    await chat.say("now go on")
    (task,) = await tasks_with(howler, "a tool will follow")
    assert prompts(task) == ["a tool will follow", "Tool: the result\n\nUser: now go on"]


async def test_a_second_turn_boots_no_vm(tmp_path: Path) -> None:
    """Issue 5: with a VM that takes 3 s to boot, one task, two turns, and only the new message is sent."""
    slow = Howler(tmp_path, sandbox_env={"HOWLER_SANDBOX_BOOT_MS": "3000"})
    async with slow as howler, howler.openai() as client:
        chat = Chat(client)
        await chat.say("the first has to wait")
        await chat.say("the second has not")
        state = await howler.sandbox.state()
        (task,) = state["tasks"]
        assert prompts(task) == ["the first has to wait", "the second has not"]
        assert [turn["via"] for turn in task["turns"]] == ["create", "new"]
        assert state["requests"]["POST /api/v1/users/tasks"] == 1


async def test_chats_that_are_not_kept(tmp_path: Path) -> None:
    """HOWLER_KEEP_CHATS=off: the task is stopped at once, and the next one is told everything."""
    forgetful = Howler(tmp_path, env={"HOWLER_KEEP_CHATS": "off"})
    async with forgetful as howler, howler.openai() as client:
        chat = Chat(client)
        answer = await chat.say("one")
        await chat.say("two")

        async def stopped() -> bool:
            return all(task["status"] == "finished" for task in (await howler.sandbox.state())["tasks"])

        assert await eventually(stopped)
        _, second = (await howler.sandbox.state())["tasks"]
        assert f"User: one\n\nAssistant: {answer}" in second["content"]
