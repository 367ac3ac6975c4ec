"""The stub as its own process: what a gateway, or a floor, gets from it over real sockets."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.tokens import Ask, Seen, Tally
from tests.support.process import Program

TASKS = "/api/v1/users/tasks"


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a running stub."""
    async with (
        Program("bench.stub", env={}, cwd=tmp_path) as program,
        aiohttp.ClientSession(program.address) as client,
    ):
        yield client


async def created(stub: aiohttp.ClientSession, ask: Ask) -> str:
    async with stub.post(TASKS, json={"content": ask.prompt()}) as reply:
        task: dict[str, Any] = (await reply.json())["data"]
    async with stub.get(f"{TASKS}/{task['id']}") as reply:
        assert (await reply.json())["data"]["status"] == "processing"
    return str(task["id"])


async def read(socket: aiohttp.ClientWebSocketResponse, tally: Tally) -> list[str]:
    """Read a turn to its end and return the types of its frames."""
    types = []
    async for message in socket:
        frame = json.loads(message.data)
        types.append(frame["type"])
        if frame["data"]:
            tally.feed(base64.b64decode(frame["data"]), 0)
        if frame["type"] == "task-ended":
            break
    return types


@pytest.mark.parametrize("ask", [Ask(5000), Ask(10, 1.0)], ids=["burst", "paced"])
async def test_attach_tells_the_turn_at_once(stub: aiohttp.ClientSession, ask: Ask) -> None:
    tally = Tally(Seen(), ask.tokens, 0)
    task_id = await created(stub, ask)
    async with stub.ws_connect(f"{TASKS}/stream?id={task_id}&mode=attach") as socket:
        types = await read(socket, tally)
    assert tally.verdict() == ""
    assert types[:3] == ["user-input", "task-started", "task-running"]
    assert types[-1] == "task-ended"
    assert types.count("task-running") == ask.tokens + 1, "the tokens and the usage"


async def test_new_waits_for_the_prompt(stub: aiohttp.ClientSession) -> None:
    tally = Tally(Seen(), 3, 0)
    task_id = await created(stub, Ask(3))
    async with stub.ws_connect(f"{TASKS}/stream?id={task_id}&mode=new") as socket:
        await socket.send_str('{"type":"auto-approve"}')
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
        await socket.send_str('{"type":"user-input","data":"aGVsbG8="}')
        await read(socket, tally)
    assert tally.verdict() == ""


async def test_a_cancelled_turn_ends_early(stub: aiohttp.ClientSession) -> None:
    tally = Tally(Seen(), 1000, 0)
    task_id = await created(stub, Ask(1000, 20.0))
    async with stub.ws_connect(f"{TASKS}/stream?id={task_id}&mode=attach") as socket:
        await socket.send_str('{"type":"user-cancel"}')
        assert (await read(socket, tally))[-1] == "task-ended"
    assert tally.verdict() == "missing"


async def test_it_is_a_model_server_too(stub: aiohttp.ClientSession) -> None:
    body = {"model": "bench", "stream": True, "messages": [{"role": "user", "content": Ask(40).prompt()}]}
    for _ in range(2):  # on one connection
        tally = Tally(Seen(), 40, 0)
        async with stub.post("/v1/chat/completions", json=body) as reply:
            text = await reply.read()
        tally.feed(text, 0)
        assert tally.verdict() == ""
        assert text.endswith(b"data: [DONE]\n\n")
