"""Codex CLI whose stream is cut: it sends its turn again, which runs once (openai-surface.md §7.3)."""

import json
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
    async with Howler(folder, env={"HOWLER_DISCONNECT_GRACE": "30"}) as running:
        yield running


@pytest.mark.parametrize(
    ("prompt", "cut"),
    [
        ("/pace 40 50", b"tok5 "),
        ("/tools", b'"output_index":2,'),  # it appends what it heard of the answer then: an item of words
    ],
)
async def test_a_turn_that_is_cut_runs_once(
    howler: Howler, recorder: Recorder, tmp_path: Path, prompt: str, cut: bytes
) -> None:
    """Issue 6: it is told the whole answer of the turn that runs."""
    recorder.cut_behind = cut
    run = await Codex(tmp_path, f"{recorder.url}/v1").run(prompt)
    assert run.code == 0, run.stderr
    assert not recorder.cut_behind
    first, second = (json.loads(asked.body)["input"] for asked in recorder.model_requests)
    assert (len(second) > len(first)) == prompt.startswith("/tools")
    tasks = (await howler.sandbox.state())["tasks"]
    assert sum(prompt in turn["prompt"] for task in tasks for turn in task["turns"]) == 1
    if prompt.startswith("/pace"):
        assert run.texts[-1].split() == [f"tok{number}" for number in range(40)]
