"""Issue 6 (§7.1): who names its conversation gets that one, and no name makes another history its own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.support.front import CHAT, RESPONSES
from tests.support.howler import Howler
from tests.support.recordings import recording

pytestmark = pytest.mark.asyncio(loop_scope="module")
COMPLETIONS = "/v1/completions"
OF_THE_MESSAGE = ("host", "content-length")
CODEX, OPENCODE = (
    {name: value for name, value in recording(one).headers.items() if name not in OF_THE_MESSAGE}
    for one in ("codex-exec", "opencode-chat-2")
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(howler: Howler) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=howler.facade.address, timeout=60, trust_env=False) as client:
        yield client


def codex(thread: str, turn: str) -> dict[str, str]:
    """Return Codex's headers in a turn of a thread."""
    about = json.loads(CODEX["x-codex-turn-metadata"]) | {"thread_id": thread, "turn_id": turn}
    return CODEX | {"thread-id": thread, "session-id": thread, "x-codex-turn-metadata": json.dumps(about)}


NAMES: dict[str, tuple[str, Any]] = {
    "codex": (RESPONSES, lambda chat, turn: codex(chat, f"{chat}-{turn}")),
    "opencode": (CHAT, lambda chat, _: OPENCODE | {"x-session-id": chat, "x-session-affinity": chat}),
    "open-webui": (CHAT, lambda chat, _: {"x-openwebui-chat-id": chat}),
    "session": (CHAT, lambda chat, _: {"x-gateway-session-id": chat}),
}


class Chat:
    """A chat of a client that names it, and sends all that was said each time."""

    def __init__(self, http: httpx2.AsyncClient, client: str, name: str) -> None:
        self.http = http
        self.path, self.headers = NAMES[client]
        self.name = name
        self.said: list[dict[str, Any]] = []
        self.turns = 0

    async def say(self, text: str) -> str:
        """Say something and take the answer down."""
        self.said.append({"role": "user", "content": text})
        self.turns += 1
        headers = self.headers(self.name, self.turns)
        content = {"input" if self.path == RESPONSES else "messages": self.said}
        whole = {"model": "default", "stream": False, "store": False} | content
        answer = (await self.http.post(self.path, json=whole, headers=headers)).json()
        told = str(
            answer["output"][-1]["content"][0]["text"]
            if self.path == RESPONSES
            else answer["choices"][0]["message"]["content"]
        )
        self.said.append({"role": "assistant", "content": told})
        return told


async def prompts(howler: Howler, words: str) -> list[list[str]]:
    """Return what each task was told, of those that were told something with these words."""
    tasks = (await howler.sandbox.state())["tasks"]
    told = [[turn["prompt"] for turn in task["turns"]] for task in tasks]
    return [task for task in told if any(words in prompt for prompt in task)]


@pytest.mark.parametrize("client", NAMES)
async def test_chats_with_the_same_words_keep_their_agents(
    howler: Howler, http: httpx2.AsyncClient, client: str
) -> None:
    """Their agents answered alike, and may have done different things: the name tells them apart."""
    words = f"the same words by {client}"
    one, other = Chat(http, client, f"{client}-one"), Chat(http, client, f"{client}-other")
    await one.say(words)
    await other.say(words)
    assert one.said == other.said
    await one.say("I am one")
    await other.say("I am the other")
    assert await prompts(howler, words) == [[words, "I am one"], [words, "I am the other"]]


@pytest.mark.parametrize("client", NAMES)
async def test_an_edited_history_goes_to_another_agent(
    howler: Howler, http: httpx2.AsyncClient, client: str
) -> None:
    """And whoever takes the edit back is again with the first one."""
    words = f"to be edited by {client}"
    chat = Chat(http, client, f"{client}-edits")
    await chat.say(words)
    before = [*chat.said]
    chat.said[0] = {"role": "user", "content": f"edited by {client}"}
    await chat.say("after the edit")
    chat.said = before
    await chat.say("as it was")
    first, second = await prompts(howler, f"edited by {client}")
    assert first == [words, "as it was"]
    assert second[0].endswith("after the edit")
    assert len(second) == 1


async def test_a_session_needs_no_history(howler: Howler, http: httpx2.AsyncClient) -> None:
    """Named on purpose, by a header or in the metadata: what is sent is what is new."""
    header = {"x-gateway-session-id": "mine"}
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = [
        (CHAT, {"messages": [{"role": "user", "content": "session 0"}]}, header),
        (RESPONSES, {"input": "session 1", "metadata": {"session_id": "mine"}}, {}),
        (COMPLETIONS, {"prompt": "session 2"}, header),
        (COMPLETIONS, {"prompt": "session 3"}, {"authorization": "Bearer somebody else"} | header),
    ]
    for path, body, headers in asked:
        answer = await http.post(path, json={"model": "default"} | body, headers=headers)
        assert answer.status_code == 200, answer.text
    assert await prompts(howler, "session ") == [["session 0", "session 1", "session 2"], ["session 3"]]


async def test_a_previous_response_is_its_own_agents(howler: Howler, http: httpx2.AsyncClient) -> None:
    """Of two that said the same the one goes on whose response is named."""

    async def ask(text: str, **fields: str) -> str:
        answer = await http.post(RESPONSES, json={"model": "default", "input": text} | fields)
        return str(answer.json()["id"])

    first, second = await ask("the same response"), await ask("the same response")
    await ask("to the first", previous_response_id=first)
    await ask("to the first again", previous_response_id=first)
    await ask("to the second", previous_response_id=second)
    told = await prompts(howler, "the same response")
    assert told[:2] == [["the same response", "to the first"], ["the same response", "to the second"]]
    assert told[2][0].endswith("to the first again"), "its agent has heard more since: another one was told"


async def compacted(
    http: httpx2.AsyncClient, chat: Chat, more: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """Have a chat summed up, as Codex does; return what it goes on with."""
    prompt = {"role": "user", "content": "You are performing a CONTEXT CHECKPOINT COMPACTION."}
    headers = chat.headers(chat.name, "compaction")
    about = json.loads(headers["x-codex-turn-metadata"]) | {"request_kind": "compaction"}
    headers |= {"x-codex-turn-metadata": json.dumps(about)} | (more or {})
    body = {"model": "default", "store": False, "input": [*chat.said, prompt]}
    answer = (await http.post(RESPONSES, json=body, headers=headers)).json()
    summary = f"Another model summed up:\n{answer['output'][-1]['content'][0]['text']}"
    spoken = [one for one in chat.said if one.get("role") == "user" and "summed up" not in one["content"]]
    return [*spoken, {"role": "user", "content": summary}]


async def test_a_summary_goes_on_with_the_agent_that_keeps_the_rest(
    howler: Howler, http: httpx2.AsyncClient
) -> None:
    """§7.2: Codex tells a summary in place of its history; what it stands for is compared all the same."""
    chat = Chat(http, "codex", "compacts")
    await chat.say("before the summary")
    history = [*chat.said]

    chat.said = await compacted(http, chat)
    await chat.say("behind the summary")
    await chat.say("and once more")
    chat.said = await compacted(http, chat)
    await chat.say("behind the second")
    told = ["before the summary", "behind the summary", "and once more", "behind the second"]
    assert await prompts(howler, "the summary") == [told]
    chat.said = history
    await chat.say("as if there were none")
    assert len(await prompts(howler, "the summary")) == 2, "its agent has heard more since"


async def test_a_summary_in_the_middle_of_a_turn_loses_no_result(
    howler: Howler, http: httpx2.AsyncClient
) -> None:
    """Codex ran its tool, and sums up before it tells the result: the agent that called it hears it."""
    chat = Chat(http, "codex", "compacts in between")
    chat.said = [{"role": "user", "content": '/call plain exec_command {"cmd": "in between"}'}]
    tool = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}
    emulate = {"x-gateway-client-tools": "emulate"}

    async def ask() -> dict[str, Any]:
        body = {"model": "default", "store": False, "tools": [tool], "input": chat.said}
        answer = (await http.post(RESPONSES, json=body, headers=chat.headers(chat.name, 1) | emulate)).json()
        return dict(answer["output"][-1])

    call = await ask()
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "4711"}
    chat.said += [call, output]
    chat.said = await compacted(http, chat, emulate)
    answer = await ask()
    assert "4711" in answer["content"][0]["text"]
    (told,) = await prompts(howler, "in between")
    assert len(told) == 2
    assert "4711" in told[1]
