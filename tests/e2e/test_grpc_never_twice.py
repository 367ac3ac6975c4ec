"""No prompt runs twice, and no turn is told another's words, whatever is lost on the way."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from howler.task.v1.start_turn_pb2 import Durability, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason
from howler.task.v1.task_service_pb2 import GetTaskRequest, TaskState

from tests.support.howler import Howler, reason_of, text_of
from tests.support.process import ROOT
from tests.support.sandbox import Sandbox
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEEP = TaskRetention.TASK_RETENTION_KEEP
EPHEMERAL = Durability.DURABILITY_EPHEMERAL  # a durable one is adopted
CREATE = {"method": "POST", "path": "/api/v1/users/tasks"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    at_once = {"HOWLER_SANDBOX_BOOT_MS": "0"}  # a task runs by the time that its create is answered
    async with Howler(tmp_path_factory.mktemp("twice"), facade=False, sandbox_env=at_once) as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def no_faults(howler: Howler) -> AsyncIterator[None]:
    yield
    await howler.sandbox.reset()


async def tasks_of(howler: Howler, prompt: str) -> list[dict[str, Any]]:
    """Return the platform's tasks that were given the prompt."""
    tasks = (await howler.sandbox.state())["tasks"]
    return [task for task in tasks if task["content"] == prompt]


@pytest.mark.parametrize("frames", [1, 2, 6])
async def test_a_turn_that_lost_its_socket_is_told_its_own_words(howler: Howler, frames: int) -> None:
    """§6.8.1: before anything of ours is stored, attach replays the turn before it."""
    first = await howler.turn("one", retention=KEEP)
    task_id = first[0].accepted.task_id
    await howler.sandbox.faults(
        stream={"mode": "new", "sockets": 1, "cut_after_frames": frames, "cut": "rst"}
    )
    lost = await howler.turn("/pace 20 20 lost", task_id=task_id)
    assert lost[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert lost[-1].ended.resumable
    assert text_of(lost) == "".join(f"tok{number} " for number in range(20))
    again = await howler.turn("three", task_id=task_id)
    assert "“three”" in text_of(again)
    assert "tok" not in text_of(again)
    task = await howler.sandbox.task(task_id)
    assert task["prompts"] == 3


async def killed_in_a_turn(directory: Path, upstream: str, env: dict[str, str]) -> str:
    """Run a server until a turn tells its first words, kill it, and return the turn's task."""
    task_id = ""
    with pytest.raises(AssertionError, match="server ended with -9"):  # noqa: PT012 - the end of the context
        async with Howler(directory, upstream=upstream, facade=False, env=env) as howler:
            turn = Watched(howler, "/pace 2000 20", retention=KEEP, durability=EPHEMERAL)
            await turn.until("text_delta")
            task_id = turn.task_id
            howler.server.signal(signal.SIGKILL)
            await howler.server.ended()
    return task_id


async def test_a_task_left_in_the_middle_by_a_crash_is_stopped(tmp_path: Path) -> None:
    env = {"HOWLER_ACCOUNTS_FILE": str(ROOT / "sandbox" / "accounts.json")}
    async with Sandbox() as sandbox:
        task_id = await killed_in_a_turn(tmp_path, sandbox.url, env)
        async with Howler(tmp_path, upstream=sandbox.url, facade=False, env=env) as howler:

            async def ended() -> bool:
                answer = await howler.tasks.GetTask(GetTaskRequest(task_id=task_id))
                return bool(answer.task.state == TaskState.TASK_STATE_ENDED)

            await eventually(ended)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await howler.turn("next", task_id=task_id)
            assert reason_of(caught.value) == "TASK_ENDED"


async def test_a_failed_create_that_runs_all_the_same_is_followed(howler: Howler) -> None:
    await howler.sandbox.faults(routes=[{**CREATE, "when": "after", "do": "code", "code": 500}])
    events = await howler.turn("runs all the same")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    tasks = await tasks_of(howler, "runs all the same")
    assert [task["id"] for task in tasks] == [events[0].accepted.task_id]


async def test_what_cannot_be_cleared_away_is_not_tried_elsewhere(howler: Howler) -> None:
    refusals = {"path": "/api/v1/users/tasks*", "do": "code", "code": 10000, "times": 50}
    await howler.sandbox.faults(
        routes=[
            {**CREATE, "when": "after", "do": "code", "code": 500},
            {"method": "GET", **refusals},
            {"method": "DELETE", **refusals},
        ]
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await howler.turn("who knows")
    assert reason_of(caught.value) == "ACCEPTANCE_UNKNOWN"
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    assert len(await tasks_of(howler, "who knows")) == 1
