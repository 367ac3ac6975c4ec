"""opencode: one turn per prompt beside its own call for a title, and the turns of a session on one task."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.opencode import Opencode
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def tasks_with(howler: Howler, words: str) -> list[dict[str, Any]]:
    """Return the tasks that were asked something with these words."""
    tasks = (await howler.sandbox.state())["tasks"]
    return [task for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]


@pytest.mark.parametrize("package", ["@ai-sdk/openai-compatible", "@ai-sdk/openai"])
async def test_turns_of_one_session(howler: Howler, recorder: Recorder, tmp_path: Path, package: str) -> None:
    """The title is answered without an agent; the second turn goes on with the first one's."""
    opencode = Opencode(tmp_path, f"{recorder.url}/v1", package)
    first = await opencode.run(f"Say hello, {package}.")
    assert first.code == 0, first.stderr
    assert "This is turn 1" in first.texts[-1]
    assert len(recorder.model_requests) == 2, "one for the turn, one for the title"
    second = await opencode.run(f"And again, {package}.", "--continue")
    assert second.code == 0, second.stderr
    assert "This is turn 2" in second.texts[-1]
    assert len(recorder.model_requests) == 3
    (task,) = await tasks_with(howler, f", {package}.")
    assert len(task["turns"]) == 2


async def test_the_agents_own_tools_are_not_run_again(recorder: Recorder, tmp_path: Path) -> None:
    run = await Opencode(tmp_path, f"{recorder.url}/v1").run("/tools")
    assert run.code == 0, run.stderr
    assert run.texts[-1].strip()
    assert run.tools == []
    assert len(recorder.model_requests) == 2
