"""examples/grpc_turn.py, run as its docstring says."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.howler import Howler
from tests.support.process import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOBODY = "127.0.0.1:1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    async with Howler(tmp_path_factory.mktemp("example"), facade=False) as running:
        yield running


async def example(target: str, *words: str) -> tuple[int, str, str]:
    """Run the example; return its exit code, what it printed and what it told beside that."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "grpc_turn.py"),
        *words,
        env={"HOWLER_GRPC_TARGET": target},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), told.decode()


async def test_prints_the_answer(howler: Howler) -> None:
    code, out, told = await example(howler.server.address, "Say", "hello")
    assert (code, out.strip()) == (0, "You said: “Say hello”. This is turn 1.")
    assert "END_REASON_COMPLETED" in told


async def test_shows_tools_and_plans_of_a_busy_turn(howler: Howler) -> None:
    code, out, told = await example(howler.server.address, "/all")
    assert code == 0
    assert "This is turn 1." in out
    assert "TOOL_CALL_STATE_FAILED" in told


async def test_a_turn_that_fails_is_exit_1(howler: Howler) -> None:
    code, out, told = await example(howler.server.address, "/error")
    assert (code, out.strip()) == (1, "This will fail.")
    assert "END_REASON_FAILED" in told
    assert "the sandbox agent was asked to fail" in told


async def test_a_refusal_names_its_reason(howler: Howler) -> None:
    """The platform refuses the create: the RPC fails before anything was accepted."""
    fault = {"path": "/api/v1/users/tasks", "method": "POST", "times": 99, "do": "code", "code": 10812}
    await howler.sandbox.faults(routes=[fault])
    code, out, told = await example(howler.server.address, "hello")
    await howler.sandbox.reset()
    assert (code, out) == (1, "")
    assert "reason: MODEL_ACCESS_DENIED" in told
    assert "Traceback" not in told


async def test_no_server_is_exit_1() -> None:
    code, out, told = await example(NOBODY, "hello")
    assert (code, out) == (1, "")
    assert told.startswith("UNAVAILABLE: ")
    assert "Traceback" not in told
