"""What a client over HTTP is told when a turn cannot begin, takes too long, or is left by the client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openai.types.responses.response import IncompleteDetails

from tests.support.front import CHAT, RESPONSES, Front, chat_body, response_body, text_of, told
from tests.support.howler import Howler
from tests.support.process import ROOT
from tests.support.sandbox import Sandbox, accounts

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE_SLOT = {
    "HOWLER_ACCOUNTS_FILE": "",
    "HOWLER_UPSTREAM_COOKIE": accounts()[0]["cookie"],
    "HOWLER_ACCOUNT_SLOTS": "1",
    "HOWLER_QUEUE_TIMEOUT": "1",
    "HOWLER_KEEP_CHATS": "off",  # a turn that is over leaves its slot
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    """A gateway with room for one turn, whose callers wait a second for it."""
    async with Howler(tmp_path_factory.mktemp("failures"), env=ONE_SLOT) as running:
        yield running


async def task_with(sandbox: Sandbox, words: str) -> dict[str, Any] | None:
    """Return the task whose prompt holds the words, once the platform has it."""
    tasks = [one for one in (await sandbox.state())["tasks"] if words in one["content"]]
    return dict(tasks[0]) if tasks else None


async def until_running(sandbox: Sandbox, words: str) -> None:
    """Return once the agent works on the prompt."""
    async with asyncio.timeout(60):
        while True:
            task = await task_with(sandbox, words)
            if task is not None and task["turns"]:
                return
            await asyncio.sleep(0.02)


async def ending(sandbox: Sandbox, words: str) -> str:
    """Return how the turn of a prompt ended, once its task is stopped and its slot is free."""
    async with asyncio.timeout(60):
        while True:
            state = await sandbox.state()
            if not any(one["active_tasks"] for one in state["accounts"]) and not state["sockets"]["open"]:
                task = await task_with(sandbox, words)
                assert task is not None
                assert task["status"] == "finished"
                return str(task["turns"][0]["ending"])
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def busy(howler: Howler, front: Front, prompt: str) -> AsyncIterator[None]:
    """Hold the only slot by a stream that never ends; leave it at the end."""
    async with front.http.stream("POST", CHAT, json=chat_body(prompt, stream=True)) as answer:
        assert answer.status_code == 200
        pieces = answer.aiter_bytes()  # kept until the end: collected, it would close the connection
        await anext(pieces)
        yield
    await ending(howler.sandbox, prompt)


async def test_no_room_is_429(howler: Howler, front: Front) -> None:
    """P7.3, P9: before acceptance a failure is a status, for streams too; clients hear when to come back."""
    async with busy(howler, front, "/mute the slot is mine"):
        for answer in await front.refusals("let me in"):
            error = told(answer)
            assert answer.status_code == 429
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
            assert int(answer.headers["retry-after"]) >= 1
    assert await task_with(howler.sandbox, "let me in") is None
    assert (await front.chat("and now?")).finish_reason == "stop"


@pytest.mark.parametrize(("path", "body"), [(CHAT, chat_body), (RESPONSES, response_body)])
async def test_a_client_that_leaves_a_stream(howler: Howler, front: Front, path: str, body: Any) -> None:
    """P3.2: the agent is told to stop, the task ends and its slot is free."""
    prompt = f"/pace 1000 20 for {path}"
    async with front.http.stream("POST", path, json=body(prompt, stream=True)) as answer:
        async for line in answer.aiter_lines():
            if "tok1 " in line:
                break
    assert await ending(howler.sandbox, prompt) in {"cancelled", "stopped"}
    assert (await front.chat("is there room?")).finish_reason == "stop"


@pytest.mark.parametrize(("path", "body"), [(CHAT, chat_body), (RESPONSES, response_body)])
async def test_a_client_that_does_not_wait(howler: Howler, front: Front, path: str, body: Any) -> None:
    """P3.2: the same for whoever waits for a whole answer."""
    prompt = f"/pace 1000 20 whole for {path}"
    asking = asyncio.create_task(front.http.post(path, json=body(prompt)))
    await until_running(howler.sandbox, prompt)
    asking.cancel()
    await asyncio.wait([asking])
    assert await ending(howler.sandbox, prompt) in {"cancelled", "stopped"}


async def test_the_official_client_leaves(howler: Howler) -> None:
    async with howler.openai() as client:
        stream = await client.responses.create(model="default", input="/pace 1000 20 openai", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
    assert await ending(howler.sandbox, "/pace 1000 20 openai") in {"cancelled", "stopped"}


async def test_a_client_that_leaves_leaves_its_turn_running(tmp_path: Path) -> None:
    """HOWLER_DISCONNECT_GRACE, as it is by default: a turn that ends within it ends by itself."""
    env = {"HOWLER_DISCONNECT_GRACE": "", "HOWLER_KEEP_CHATS": "off"}
    async with Howler(tmp_path, env=env) as howler:
        async with Front(howler.facade.address) as front:
            prompt = "/pace 60 20 left alone"
            async with front.http.stream("POST", CHAT, json=chat_body(prompt, stream=True)) as answer:
                async for line in answer.aiter_lines():
                    if "tok1 " in line:
                        break
        assert await ending(howler.sandbox, prompt) == "completed"


async def test_the_platform_is_away(tmp_path: Path) -> None:
    """P7.3: 503 with a time to come back, on every shape."""
    env = {
        "HOWLER_ACCOUNTS_FILE": str(ROOT / "sandbox" / "accounts.json"),
        "HOWLER_CONNECT_TIMEOUT": "2",
        "HOWLER_KEEP_CHATS": "off",
    }
    async with contextlib.AsyncExitStack() as stack, contextlib.AsyncExitStack() as upstream:
        sandbox = await upstream.enter_async_context(Sandbox())
        howler = await stack.enter_async_context(Howler(tmp_path, upstream=sandbox.url, env=env))
        front = await stack.enter_async_context(Front(howler.facade.address))
        assert (await front.chat("hello")).finish_reason == "stop"
        assert await ending(sandbox, "hello") == "completed"
        await upstream.aclose()
        for answer in await front.refusals("anyone?"):
            error = told(answer)
            assert answer.status_code == 503, answer.text
            assert (error["type"], error["code"]) == ("server_error", "service_unavailable")
            assert "127.0.0.1" not in error["message"], "where the platform is, is the operator's business"
            assert int(answer.headers["retry-after"]) >= 1


async def test_deadlines(tmp_path: Path) -> None:
    """P3.1: the total limit cuts an answer short, the others are failures; none looks completed."""
    env = {"HOWLER_TURN_TIMEOUT": "8", "HOWLER_BOOT_TIMEOUT": "1", "HOWLER_IDLE_TIMEOUT": "1"}
    env["HOWLER_REATTACH_TIMEOUT"] = "0.3"  # before the total limit
    sandbox_env = {"HOWLER_SANDBOX_PING_S": "0.2"}
    howler = Howler(tmp_path, env=env, sandbox_env=sandbox_env)
    async with howler, Front(howler.facade.address) as front:
        await asyncio.gather(cut_short(front), never_boots(front))
        await howler.sandbox.faults(stream={"stop_pings": True})
        await falls_silent(front)


async def cut_short(front: Front) -> None:
    prompt = "/pace 1000 20"
    chat, whole_chat, response, whole_response = await asyncio.gather(
        front.chat(prompt), front.whole_chat(prompt), front.response(prompt), front.whole_response(prompt)
    )
    assert (chat.finish_reason, whole_chat.choices[0].finish_reason) == ("length", "length")
    assert response.terminal == "response.incomplete"
    for told_response in (response.response, whole_response):
        assert told_response.status == "incomplete"
        assert told_response.incomplete_details == IncompleteDetails(reason="max_output_tokens")
    said = whole_chat.choices[0].message.content or ""
    for text in (chat.content, said, response.text, text_of(whole_response)):
        assert text.startswith("tok0 tok1 "), "what was said before the limit is kept"
        assert "tok999" not in text


async def never_boots(front: Front) -> None:
    await fails(front, "/slowboot 600", status=503, code="service_unavailable")


async def falls_silent(front: Front) -> None:
    await fails(front, "/silence 600", status=504, code="timeout")


async def fails(front: Front, prompt: str, *, status: int, code: str) -> None:
    """Check that a prompt fails once it was accepted: in the stream, and as a status of a whole answer."""
    chat, response, whole = await asyncio.gather(
        front.chat(prompt), front.response(prompt), front.http.post(CHAT, json=chat_body(prompt))
    )
    assert chat.finish_reason is None
    assert chat.error is not None
    assert chat.error["code"] == code
    assert response.terminal == "response.failed"
    assert (whole.status_code, told(whole)["code"]) == (status, code)
    assert whole.headers["x-should-retry"] == "false", "it was accepted: sent again it runs again"
