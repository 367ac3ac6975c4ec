"""The turn's log: cursors, never queues; the writer never waits."""

import asyncio

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent, TextDelta

from server.errors import ServiceError
from server.turn.log import TurnLog


def said(text: str) -> TaskEvent:
    return TaskEvent(text_delta=TextDelta(text=text))


def new_log(cap: int = 1 << 20) -> TurnLog:
    return TurnLog(lambda: None, cap)


async def test_events_are_numbered_dated_and_gathered() -> None:
    log = new_log()
    watcher = log.watch()
    log.append([said("a")], 5)
    log.append([said("b"), TaskEvent(time_unix_ms=9, text_delta=TextDelta(text="c"))], 6)
    batch = await watcher.next()
    assert [(event.seq, event.time_unix_ms, event.text_delta.text) for event in batch] == [
        (1, 5, "a"),
        (2, 6, "b"),
        (3, 9, "c"),
    ]
    log.close()
    assert await watcher.next() == []


async def test_a_watcher_waits_for_what_comes() -> None:
    log = new_log()
    watcher = log.watch()
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    log.append([said("a")], 1)
    assert [event.text_delta.text for event in await waiting] == ["a"]


async def test_every_watcher_reads_everything_at_its_own_pace() -> None:
    log = new_log()
    quick, slow = log.watch(), log.watch()
    for number in range(100):
        log.append([said(str(number))], 1)
        if number % 3 == 0:
            await quick.next()
    log.close()
    texts = [event.text_delta.text for event in await slow.next()]
    assert texts == [str(number) for number in range(100)]


async def test_a_laggard_is_cut_off_and_the_others_read_on() -> None:
    log = new_log(cap=1000)
    quick, slow = log.watch(), log.watch()
    read = []
    for number in range(100):
        log.append([said(f"{number:50}")], 1)
        read += [event.text_delta.text.strip() for event in await quick.next()]
    log.close()
    assert read == [str(number) for number in range(100)]
    with pytest.raises(ServiceError) as caught:
        await slow.next()
    assert caught.value.reason == ErrorReason.ERROR_REASON_SLOW_CONSUMER


async def test_the_last_watcher_to_leave_deserts_the_turn() -> None:
    deserted = []
    log = TurnLog(lambda: deserted.append(1))
    one, other = log.watch(), log.watch()
    one.close()
    one.close()
    assert deserted == []
    other.close()
    assert deserted == [1]
    late = log.watch()
    log.close()
    late.close()
    assert deserted == [1]


async def test_a_cut_off_watcher_deserts_too() -> None:
    deserted = []
    log = TurnLog(lambda: deserted.append(1), cap=100)
    log.watch()
    log.append([said("x" * 200)], 1)
    assert deserted == [1]


async def test_a_failure_is_told_after_the_rest() -> None:
    log = new_log()
    watcher = log.watch()
    log.append([said("a")], 1)
    log.fail(ServiceError(ErrorReason.ERROR_REASON_POOL_EXHAUSTED, "full", 3))
    assert len(await watcher.next()) == 1
    with pytest.raises(ServiceError, match="full"):
        await watcher.next()


async def test_batches_are_bounded() -> None:
    log = TurnLog(lambda: None)
    watcher = log.watch()
    log.append([said("x" * 200_000) for _ in range(20)], 1)
    log.close()
    sizes = []
    while batch := await watcher.next():
        sizes.append(sum(event.ByteSize() for event in batch))
    assert sum(sizes) > 20 * 200_000
    assert max(sizes) <= 1 << 20
