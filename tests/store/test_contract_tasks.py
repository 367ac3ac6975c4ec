"""What every store must do for replicas that share it: tasks, and TaskService's reads."""

import asyncio

from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import LeaseId, TaskId
from server.store.open import AnyStore
from server.store.pages import behind_task
from tests.store.records import ANN, NO_LEASE, SECONDS, busy_tasks, granted, rest, state_of, task


async def test_states_of_a_task(store: AnyStore, other: AnyStore) -> None:
    assert await store.task(TaskId("t1")) is None
    await granted(store, "l1")
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await state_of(other, "t1") == TaskState.TASK_STATE_RUNNING
    await store.end_lease(LeaseId("l1"), 50)
    assert await state_of(other, "t1") == TaskState.TASK_STATE_IDLE
    idle = await other.task(TaskId("t1"))
    assert idle == replace_task(task("t1", used_us=50), TaskState.TASK_STATE_IDLE)
    await store.touch_task(TaskId("t1"), "turn-2", 60)
    touched = await other.task(TaskId("t1"))
    assert touched is not None
    assert (touched.turn_id, touched.last_used_time.ToMicroseconds()) == ("turn-2", 60)
    assert touched.state == TaskState.TASK_STATE_RUNNING
    assert await busy_tasks(other) == {"t1": True}
    await rest(store, "t1", 65)
    assert await busy_tasks(other) == {"t1": False}
    await store.end_task(TaskId("t1"), 70)
    await store.end_task(TaskId("t1"), 80)
    assert await state_of(other, "t1") == TaskState.TASK_STATE_ENDED
    assert await busy_tasks(other) == {}


def replace_task(of: Task, state: TaskState) -> Task:
    of.state = state
    return of


async def test_tasks_are_listed_by_last_use_in_pages(store: AnyStore) -> None:
    for number in range(10):
        await store.record_task(task(f"t{number}", number // 2, "ab"[number % 2]), NO_LEASE)
        await rest(store, f"t{number}", number // 2)
    await store.end_task(TaskId("t9"), 99)
    everything = await store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 100)
    assert [found.task_id for found in everything] == [f"t{number}" for number in reversed(range(10))]
    pages, after = list[str](), None
    while page := await store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 3, after):
        pages += [found.task_id for found in page]
        after = behind_task(page[-1])
    assert pages == [found.task_id for found in everything]
    idle_of_b = await store.tasks(TaskState.TASK_STATE_IDLE, "b", 100)
    assert [found.task_id for found in idle_of_b] == ["t7", "t5", "t3", "t1"]
    assert [found.task_id for found in await store.tasks(TaskState.TASK_STATE_ENDED, "", 9)] == ["t9"]
    assert await store.tasks(TaskState.TASK_STATE_RUNNING, "", 9) == []
    books = await store.books([ANN])
    assert [work.task.task_id for work in books.tasks] == [f"t{number}" for number in range(9)]


async def test_how_a_task_was_recorded_is_told_though_the_caller_left(store: AnyStore) -> None:
    told = list[bool]()
    await granted(store, "l1")
    assert await store.record_task(task("t1"), LeaseId("l1"), told.append)
    assert told == [True]
    calls = [
        asyncio.ensure_future(store.record_task(task(name), NO_LEASE, told.append)) for name in ("t2", "t3")
    ]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    async with asyncio.timeout(SECONDS):
        while told != [True, False, False]:
            await asyncio.sleep(0.005)
    assert await busy_tasks(store) == dict.fromkeys(("t1", "t2", "t3"), True)
