"""What an SDK sends again is never run again (openai-surface.md §7.3)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from howler.conversation.v1.conversation_service_pb2 import ConversationState, ListRequest

from tests.support.front import CHAT, RESPONSES, chat_body, response_body
from tests.support.howler import Howler
from tests.support.openai_judge import judge_chat_stream
from tests.support.recordings import recording
from tests.support.response_judge import judge_response_stream
from tests.support.watched import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODIES = {CHAT: chat_body, RESPONSES: response_body}
READERS: Any = {
    CHAT: lambda raw: judge_chat_stream(raw).content,
    RESPONSES: lambda raw: judge_response_stream(raw).text,
}
both = pytest.mark.parametrize("path", [CHAT, RESPONSES])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder, env={"HOWLER_DISCONNECT_GRACE": "30"}) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(howler: Howler) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=howler.facade.address, timeout=60, trust_env=False) as client:
        yield client


async def turns(howler: Howler, prompt: str) -> int:
    tasks = (await howler.sandbox.state())["tasks"]
    return sum(prompt in turn["prompt"] for task in tasks for turn in task["turns"])


def attempt(number: int) -> dict[str, str]:
    return {"x-stainless-retry-count": str(number)}


@both
async def test_a_retry_is_told_the_turn_that_runs(
    howler: Howler, http: httpx2.AsyncClient, path: str
) -> None:
    prompt = f"/pace 40 {30 + len(path)}"
    body = BODIES[path](prompt, stream=True)
    async with http.stream("POST", path, json=body, headers=attempt(0)) as first:
        async for _ in first.aiter_bytes():
            break  # the connection is lost once something came
    again = await http.post(path, json=body, headers=attempt(1))
    assert READERS[path](again.content) == "".join(f"tok{number} " for number in range(40))
    over = await http.post(path, json=body, headers=attempt(2))
    assert READERS[path](over.content) == READERS[path](again.content)
    assert await turns(howler, prompt) == 1


@both
async def test_two_that_ask_the_same_for_the_first_time_are_two(
    howler: Howler, http: httpx2.AsyncClient, path: str
) -> None:
    prompt = f"the same question on {path}"
    for _ in range(2):
        answer = await http.post(path, json=BODIES[path](prompt), headers=attempt(0))
        assert answer.status_code == 200
    assert await turns(howler, prompt) == 2


@both
async def test_a_second_turn_that_mends_an_answer_is_not_run_again(
    howler: Howler, http: httpx2.AsyncClient, path: str
) -> None:
    prompt = f'/json words {{"answer": "{path}"}}'
    form: dict[str, Any] = {"type": "json_object"}
    asked = {"response_format": form} if path == CHAT else {"text": {"format": form}}
    body = BODIES[path](prompt, stream=True, **asked)
    answers = [(await http.post(path, json=body, headers=attempt(number))).content for number in (0, 1)]
    assert READERS[path](answers[0]) == READERS[path](answers[1])
    tasks = (await howler.sandbox.state())["tasks"]
    (task,) = [task for task in tasks if prompt in task["turns"][0]["prompt"]]
    assert len(task["turns"]) == 2


async def test_a_retried_response_is_found_again(howler: Howler, http: httpx2.AsyncClient) -> None:
    body = response_body("find the retry")
    answers = [(await http.post(RESPONSES, json=body, headers=attempt(number))).json() for number in (0, 1)]
    for answer in answers:
        found = (await http.get(f"{RESPONSES}/{answer['id']}")).json()
        assert found == answer
    assert await turns(howler, "find the retry") == 1


def codex(turn: str) -> dict[str, str]:
    """Return Codex's headers in a turn."""
    recorded = recording("codex-exec").headers
    about = json.loads(recorded["x-codex-turn-metadata"]) | {"turn_id": turn}
    kept = {name: value for name, value in recorded.items() if name not in ("host", "content-length")}
    return kept | {"x-codex-turn-metadata": json.dumps(about)}


async def test_codex_is_told_its_turn_again(howler: Howler, http: httpx2.AsyncClient) -> None:
    """Issue 6: it counts no attempts, and sends what it heard of the answer behind its question."""
    prompt = "/pace 40 31"
    question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}
    heard = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "tok0 "}]}
    body = response_body(prompt, stream=True, store=False) | {"input": [question]}
    headers = codex("the turn that is cut")
    async with http.stream("POST", RESPONSES, json=body, headers=headers) as first:
        async for _ in first.aiter_bytes():
            break
    for items in ([question, heard], [question, heard], [question]):  # it runs, it is over, it is over
        again = await http.post(RESPONSES, json=body | {"input": items}, headers=headers)
        assert judge_response_stream(again.content).text == "".join(f"tok{number} " for number in range(40))
    assert await turns(howler, prompt) == 1
    await http.post(RESPONSES, json=body | {"input": [question]}, headers=codex("the same in another turn"))
    assert await turns(howler, prompt) == 2


async def test_a_failed_turn_of_codex_is_not_run_again(howler: Howler, http: httpx2.AsyncClient) -> None:
    body = response_body("/error once for all", stream=True, store=False)
    answers = [
        (await http.post(RESPONSES, json=body, headers=codex("the turn that fails"))).content for _ in "12"
    ]
    assert [judge_response_stream(answer).terminal for answer in answers] == ["response.failed"] * 2
    assert await turns(howler, "/error once for all") == 1


async def test_a_chat_that_was_cut_is_told_its_turn(howler: Howler, http: httpx2.AsyncClient) -> None:
    """Who names its chat counts nothing: what it sends again it has not heard, or it wants another answer."""
    for prompt, watches in (("/pace 40 33", True), ("/pace 40 34", False)):
        body, headers = chat_body(prompt, stream=True), {"x-openwebui-chat-id": prompt}
        async with http.stream("POST", CHAT, json=body, headers=headers) as first:
            async for _ in first.aiter_bytes():
                break
        if not watches:
            assert await eventually(lambda prompt=prompt: over(howler, prompt))
        again = await http.post(CHAT, json=body, headers=headers)
        assert await turns(howler, prompt) == 1
        heard = await http.post(CHAT, json=body, headers=headers)
        assert READERS[CHAT](again.content) == READERS[CHAT](heard.content)
        assert await turns(howler, prompt) == 2


async def over(howler: Howler, prompt: str) -> bool:
    """Tell whether the turn with a prompt has ended at Howler: its task takes another."""
    state = ConversationState.CONVERSATION_STATE_IDLE
    principal = "anonymous"
    found = await howler.conversations.List(ListRequest(principal=principal, state=state))
    return any(one.session == f"open-webui:{prompt}" for one in found.conversations)
