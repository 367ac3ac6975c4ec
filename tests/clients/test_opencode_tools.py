"""opencode with `HOWLER_CLIENT_TOOLS=emulate`: the agent calls its shell and hears its output."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.opencode import Opencode
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder, env={"HOWLER_CLIENT_TOOLS": "emulate"}) as running:
        yield running


async def test_its_shell_is_called_and_answered(howler: Howler, recorder: Recorder, tmp_path: Path) -> None:
    """Two model requests beside that for a title, on one task."""
    opencode = Opencode(tmp_path, f"{recorder.url}/v1")
    command = '{"command": "echo $((6 * 7)) > made; cat made", "description": "Writes a file"}'
    run = await opencode.run(f"/call plain bash {command}")
    assert run.code == 0, run.stderr
    assert run.tools == ["bash"]
    assert (tmp_path / "work" / "made").read_text("utf-8") == "42\n"
    assert "42" in run.texts[-1], "the agent heard what came of it"
    assert len(recorder.model_requests) == 3
    (task,) = [one for one in (await howler.sandbox.state())["tasks"] if one["turns"]]
    assert len(task["turns"]) == 2
