"""The commit point: before the platform accepts a turn others may be tried, and no prompt runs twice.

Against the scripted upstream, which fails where a create hurts most (upstream-protocol §1.4, §5.2).
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from howler.task.v1.start_turn_pb2 import StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason
from howler.task.v1.task_service_pb2 import GetTaskRequest, StopTaskRequest, StreamRequest, TaskState

from tests.support.howler import Howler, accounts_file, reason_of, text_of
from tests.support.script import TURN
from tests.support.scripted import (
    COOKIE,
    MODEL_ID,
    OTHER_COOKIE,
    HangUp,
    Page,
    Refuse,
    Scripted,
    ScriptedTask,
    Slow,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEEP = TaskRetention.TASK_RETENTION_KEEP
USERS = ("user-1", "user-2")
BOTH = [{"cookie": COOKIE, "slots": 50}, {"cookie": OTHER_COOKIE, "slots": 50}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(folder: Path) -> AsyncIterator[tuple[Scripted, Howler]]:
    env = {"HOWLER_ACCOUNTS_FILE": accounts_file(folder, BOTH), "HOWLER_LOG_LEVEL": "debug"}
    async with Scripted() as upstream, Howler(folder, upstream=upstream.url, facade=False, env=env) as howler:
        yield upstream, howler


@pytest.fixture
def upstream(running: tuple[Scripted, Howler]) -> Scripted:
    """The upstream, with nothing of an earlier test."""
    scripted = running[0]
    scripted.attach = scripted.new = [TURN]
    scripted.creates, scripted.refuses = [], {}
    scripted.requests.clear()
    scripted.sockets.clear()
    return scripted


@pytest.fixture
def howler(running: tuple[Scripted, Howler]) -> Howler:
    return running[1]


def runs_of(upstream: Scripted, prompt: str) -> list[ScriptedTask]:
    """Return the tasks that stand and run a prompt."""
    return [task for task in upstream.tasks.values() if task.content == prompt and task.status != "finished"]


async def test_a_task_is_made_as_the_platforms_own_clients_make_it(
    upstream: Scripted, howler: Howler
) -> None:
    """P4.1: the system prompt goes with the task; §5.1 says the rest."""
    events = await howler.turn("make me", instructions="be brief")
    assert text_of(events) == "Hi"
    (create,) = upstream.asked("POST", "tasks")
    assert create.body == {
        "content": "make me",
        "system_prompt": "be brief",
        "cli_name": "opencode",
        "model_id": MODEL_ID,
        "image_id": "00000000-0000-0000-0000-000000000007",
        "host_id": "public_host",
        "task_type": "develop",
        "repo": {},
        "extra": {"skill_ids": []},
        "resource": {"core": 2, "memory": 8 << 30, "life": 10800},
    }
    assert events[0].accepted.model.upstream_id == MODEL_ID


async def test_a_failed_create_goes_to_the_other_account(upstream: Scripted, howler: Howler) -> None:
    """P7.3"""
    upstream.creates = [Refuse(500)]
    events = await howler.turn("elsewhere")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    creates = upstream.asked("POST", "tasks")
    assert len({create.cookie for create in creates}) == len(creates) == 2


async def test_the_stray_task_of_a_failed_create_is_deleted_and_nobody_elses(
    upstream: Scripted, howler: Howler
) -> None:
    """§5.2: only a pending task of our content that is not older than our request."""
    hour_ago = int(time.time()) - 3600
    owners = [ScriptedTask(f"own-{n}", "stray", c, created_at=hour_ago) for n, c in enumerate(USERS)]
    others = [ScriptedTask(f"new-{n}", "stray?", c) for n, c in enumerate(USERS)]
    runs = [
        ScriptedTask(f"run-{n}", "stray", c, status="processing", created_at=hour_ago)
        for n, c in enumerate(USERS)
    ]
    upstream.tasks |= {task.id: task for task in owners + others + runs}
    upstream.creates = [Refuse(500, leaves=True)]
    before = set(upstream.tasks)
    events = await howler.turn("stray")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert set(upstream.tasks) == before | {events[0].accepted.task_id}
    assert len(upstream.asked("DELETE", "tasks")) == 1


@pytest.mark.parametrize("fault", [HangUp(made=True), Page(502, made=True), Page(200, made=True)])
async def test_a_create_whose_answer_is_lost_is_read_back(
    upstream: Scripted, howler: Howler, fault: HangUp | Page
) -> None:
    prompt = f"lost answer {fault}"
    upstream.creates = [fault]
    events = await howler.turn(prompt)
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert len(upstream.asked("POST", "tasks")) == 1
    assert [task.id for task in runs_of(upstream, prompt)] == [events[0].accepted.task_id]


async def test_a_create_that_never_was_goes_to_the_other_account(upstream: Scripted, howler: Howler) -> None:
    upstream.creates = [HangUp(made=False)]
    events = await howler.turn("never was")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert len(upstream.asked("POST", "tasks")) == 2
    assert len(runs_of(upstream, "never was")) == 1


async def test_an_acceptance_that_nobody_can_tell_is_told_and_not_tried_again(
    upstream: Scripted, howler: Howler
) -> None:
    upstream.creates = [HangUp(made=True)]
    upstream.refuses = {"list": 10000}
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn("who knows")
    assert reason_of(raised.value) == "ACCEPTANCE_UNKNOWN"
    assert raised.value.code() == grpc.StatusCode.UNKNOWN
    assert len(upstream.asked("POST", "tasks")) == 1


async def test_two_turns_of_the_same_prompt_of_which_one_is_lost_are_two_tasks(
    upstream: Scripted, howler: Howler
) -> None:
    """The task that is read back is claimed by one turn alone."""
    upstream.creates = [HangUp(made=True)]
    turns = await asyncio.gather(*(howler.turn("twins") for _ in range(3)))
    assert all(turn[-1].ended.reason == EndReason.END_REASON_COMPLETED for turn in turns)
    accepted = {turn[0].accepted.task_id for turn in turns}
    assert len(accepted) == 3
    assert {task.id for task in runs_of(upstream, "twins")} == accepted


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (400, "UPSTREAM_REJECTED", grpc.StatusCode.INVALID_ARGUMENT),
        (10403, "UPSTREAM_PRECONDITION", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_refusal_that_every_account_would_meet_is_the_callers(
    upstream: Scripted, howler: Howler, code: int, reason: str, status: grpc.StatusCode
) -> None:
    upstream.creates = [Refuse(code)]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn("refused")
    assert (reason_of(raised.value), raised.value.code()) == (reason, status)
    assert len(upstream.asked("POST", "tasks")) == 1


async def test_a_platform_that_always_fails_is_told_with_its_failure(
    upstream: Scripted, howler: Howler
) -> None:
    upstream.creates = [Refuse(500)] * 8
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn("always")
    assert reason_of(raised.value) == "UPSTREAM_ERROR"
    assert len(upstream.asked("POST", "tasks")) == 2, "each account once"


async def test_a_task_that_the_platform_has_ended_takes_no_turn(upstream: Scripted, howler: Howler) -> None:
    events = await howler.turn("first", retention=KEEP)
    task_id = events[0].accepted.task_id
    upstream.tasks[task_id].status = "finished"
    for _ in range(2):  # the second time from our own books
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await howler.turn("second", task_id=task_id)
        assert reason_of(raised.value) == "TASK_ENDED"
    assert not [socket for socket in upstream.sockets if socket.mode == "new"]


async def test_a_caller_who_leaves_while_the_task_is_made(upstream: Scripted, howler: Howler) -> None:
    """T-A9: the window before the first event; the task is made and stopped, not forgotten."""
    upstream.creates = [Slow(0.3)]
    call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="left while made")))
    async with asyncio.timeout(60):
        while not upstream.asked("POST", "tasks"):
            await asyncio.sleep(0.01)
        call.cancel()
        while not [one for one in upstream.tasks.values() if one.content == "left while made"]:
            await asyncio.sleep(0.01)
        while runs_of(upstream, "left while made"):
            await asyncio.sleep(0.01)


async def test_a_task_that_cannot_be_stopped_is_kept_on_the_books(upstream: Scripted, howler: Howler) -> None:
    task_id = (await howler.turn("stays", retention=KEEP))[0].accepted.task_id
    upstream.refuses = {"stop": 10000}
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))
    assert reason_of(raised.value) == "UPSTREAM_UNAVAILABLE"
    assert (
        await howler.tasks.GetTask(GetTaskRequest(task_id=task_id))
    ).task.state == TaskState.TASK_STATE_IDLE
    upstream.refuses = {}
    stopped = (await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))).task
    assert stopped.state == TaskState.TASK_STATE_ENDED


async def test_a_task_that_is_gone_on_the_platform_can_be_stopped(upstream: Scripted, howler: Howler) -> None:
    task_id = (await howler.turn("deleted", retention=KEEP))[0].accepted.task_id
    del upstream.tasks[task_id]
    stopped = (await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))).task
    assert stopped.state == TaskState.TASK_STATE_ENDED


async def test_no_secret_and_no_prompt_is_in_the_log(howler: Howler) -> None:
    for secret in (COOKIE, OTHER_COOKIE, "elsewhere", "lost answer", "be brief", "who knows"):
        assert secret not in howler.server.errors
    assert "Traceback" not in howler.server.errors
