"""Codex CLI with `HOWLER_CLIENT_TOOLS=emulate`: the agent calls Codex's own shell and hears its output."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.codex import Codex
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder, env={"HOWLER_CLIENT_TOOLS": "emulate"}) as running:
        yield running


async def test_its_shell_is_called_and_answered(howler: Howler, recorder: Recorder, tmp_path: Path) -> None:
    """Issue 6: two model requests, one for the call and one for its result, on one task."""
    codex = Codex(tmp_path, f"{recorder.url}/v1")
    prompt = '/call plain exec_command {"cmd": "echo $((6 * 7)) > made-by-codex; cat made-by-codex"}'
    run = await codex.run("--sandbox", "danger-full-access", prompt)
    assert run.code == 0, run.stderr
    (ran,) = run.items("command_execution")
    assert (ran["exit_code"], ran["aggregated_output"].strip()) == (0, "42")
    assert (codex.home / "work" / "made-by-codex").read_text("utf-8") == "42\n"
    assert "42" in run.texts[-1], "the agent heard what came of it"
    assert len(recorder.model_requests) == 2
    (task,) = [one for one in (await howler.sandbox.state())["tasks"] if one["turns"]]
    assert len(task["turns"]) == 2


async def test_its_shell_is_called_over_a_websocket(
    howler: Howler, recorder: Recorder, tmp_path: Path
) -> None:
    """§6.6: the result comes as what is new behind the response that called; it was stored nowhere."""
    codex = Codex(tmp_path, f"{recorder.url}/v1", provider="supports_websockets = true")
    run = await codex.run(
        "--sandbox", "danger-full-access", '/call plain exec_command {"cmd": "echo over-a-$((6 * 7))"}'
    )
    assert run.code == 0, run.stderr
    (ran,) = run.items("command_execution")
    assert ran["aggregated_output"].strip() == "over-a-42"
    assert "over-a-42" in run.texts[-1], "the agent heard what came of it"
    called, result = [frame for frame in recorder.frames if frame.get("generate") is not False]
    assert called["previous_response_id"] != result["previous_response_id"]
    assert [item["type"] for item in result["input"]] == ["function_call_output"]
    tasks = (await howler.sandbox.state())["tasks"]
    (task,) = [one for one in tasks if any("over-a-" in turn["prompt"] for turn in one["turns"])]
    assert len(task["turns"]) == 2


async def test_a_turn_without_a_call(recorder: Recorder, tmp_path: Path) -> None:
    run = await Codex(tmp_path, f"{recorder.url}/v1").run("Only say hello")
    assert run.code == 0, run.stderr
    assert run.items("command_execution") == []
    assert len(recorder.model_requests) == 1
