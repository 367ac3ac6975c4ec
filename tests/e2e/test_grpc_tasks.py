"""Tasks that Howler holds: one turn at a time, one model, stopped, listed."""

from typing import Any

import grpc
import pytest
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason
from howler.task.v1.task_service_pb2 import (
    CancelTurnRequest,
    GetTaskRequest,
    ListTasksRequest,
    StopTaskRequest,
    TaskState,
)

from tests.support.howler import Howler, refusal_of, refused, text_of
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it


async def test_a_task_takes_one_turn_at_a_time(howler: Howler) -> None:
    turn = Watched(howler, SLOW, retention=KEEP)
    await turn.until("started")
    busy = await refusal_of(howler.turn("me too", task_id=turn.task_id))
    assert busy == ("TASK_BUSY", grpc.StatusCode.ABORTED)
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    await turn.rest()


async def test_guidance_goes_with_a_prompt_on_a_new_and_on_a_held_task(howler: Howler) -> None:
    """StartTurn.guidance: the agent is told it behind the newest input, each time anew."""
    first = await howler.turn("hello", guidance="Be brief.", retention=KEEP)
    assert text_of(first).startswith("You said: “hello\n\nBe brief.”.")
    task_id = first[0].accepted.task_id
    second = await howler.turn("again", guidance="Be loud.", task_id=task_id)
    assert text_of(second).startswith("You said: “again\n\nBe loud.”.")
    await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))


async def test_a_task_is_of_one_model(howler: Howler) -> None:
    events = await howler.turn("first", model="glm-5", retention=KEEP)
    task_id = events[0].accepted.task_id
    assert await refused(howler.turn("x", task_id=task_id, model="gpt-5.5")) == "UNSUPPORTED_VALUE"
    assert await refused(howler.turn("x", task_id=task_id, model="nope")) == "MODEL_NOT_FOUND"
    second = await howler.turn("x", task_id=task_id, model="SiliconFlow/glm-5")
    assert second[0].accepted.model.id == "monkeycode/SiliconFlow/glm-5"


async def test_stop_ends_the_turn_and_the_task(howler: Howler) -> None:
    turn = Watched(howler, SLOW)
    await turn.until("text_delta")
    stopped = (await howler.tasks.StopTask(StopTaskRequest(task_id=turn.task_id))).task
    assert stopped.state == TaskState.TASK_STATE_ENDED
    ended = (await turn.rest())[-1].ended
    assert (ended.reason, ended.resumable) == (EndReason.END_REASON_CANCELLED, False)
    assert (await howler.sandbox.task(turn.task_id))["status"] == "finished"
    again = (await howler.tasks.StopTask(StopTaskRequest(task_id=turn.task_id))).task
    assert again.state == TaskState.TASK_STATE_ENDED
    told = await refusal_of(howler.turn("more", task_id=turn.task_id))
    assert told == ("TASK_ENDED", grpc.StatusCode.FAILED_PRECONDITION)


async def test_a_task_that_howler_does_not_hold(howler: Howler) -> None:
    missing = ("TASK_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    assert await refusal_of(howler.turn("hi", task_id="7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11")) == missing
    assert await refusal_of(howler.tasks.GetTask(GetTaskRequest(task_id="no"))) == missing
    assert await refusal_of(howler.tasks.StopTask(StopTaskRequest(task_id="no"))) == missing


async def test_tasks_are_listed_page_by_page_the_one_used_last_first(howler: Howler) -> None:
    made = []
    for number in range(5):
        events = await howler.turn(f"list {number}", principal="lister", retention=KEEP if number else STOP)
        made.append(events[0].accepted.task_id)

    async def page(**fields: Any) -> tuple[list[str], str]:
        answer = await howler.tasks.ListTasks(ListTasksRequest(principal="lister", **fields))
        return [task.task_id for task in answer.tasks], answer.next_page_token

    listed, token, pages = [], "", 0
    while True:
        ids, token = await page(page_size=2, page_token=token)
        listed += ids
        pages += 1
        if not token:
            break
    assert (listed, pages) == (made[::-1], 3)
    assert (await page())[0] == made[::-1]

    async def ended() -> list[str]:
        return (await page(state=TaskState.TASK_STATE_ENDED))[0]

    assert await eventually(ended) == made[:1]
    assert (await page(state=TaskState.TASK_STATE_IDLE))[0] == made[:0:-1]
    task = await howler.task(made[-1])
    assert (task.principal, task.model) == ("lister", "monkeycode/DeepSeek/deepseek-v4")
    assert task.create_time.seconds <= task.last_used_time.seconds
    for fields in (
        {"page_size": -1},
        {"page_token": "nonsense"},
        {"page_token": "9" * 40 + ".x"},
        {"state": 9},
    ):
        assert await refused(page(**fields)) == "INVALID_REQUEST"
