"""The turn's log: cursors, never queues; the writer never waits."""

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent, TextDelta
from howler.task.v1.task_service_pb2 import StreamResponse

from server.errors import ServiceError
from server.turn.log import BATCH_BYTES, TurnLog, Watcher


def said(text: str) -> TaskEvent:
    return TaskEvent(text_delta=TextDelta(text=text))


def new_log(cap: int = 1 << 20) -> TurnLog:
    return TurnLog(lambda lost: None, cap)


def ignore() -> None:
    """Nobody needs to be woken."""


def taken(watcher: Watcher, limit: int = BATCH_BYTES) -> tuple[list[TaskEvent], int]:
    """Take what is ready, as a message holds it."""
    fields, size = watcher.take(limit)
    return list(StreamResponse.FromString(b"".join(fields)).events), size


def texts(watcher: Watcher) -> list[str]:
    """Take what is ready and confirm it."""
    events, _ = taken(watcher)
    watcher.confirm(watcher.cursor)
    return [event.text_delta.text.strip() for event in events]


def test_events_are_numbered_dated_and_gathered() -> None:
    log = new_log()
    watcher = log.watch(ignore)
    log.append([said("a")], 5)
    log.append([said("b"), TaskEvent(time_unix_ms=9, text_delta=TextDelta(text="c"))], 6)
    events, size = taken(watcher)
    assert [(event.seq, event.time_unix_ms, event.text_delta.text) for event in events] == [
        (1, 5, "a"),
        (2, 6, "b"),
        (3, 9, "c"),
    ]
    assert size == sum(event.ByteSize() for event in events)
    assert not watcher.done
    log.close()
    assert watcher.done
    assert taken(watcher) == ([], 0)


def test_a_watcher_is_woken_by_what_comes() -> None:
    woken: list[int] = []
    log = new_log()
    watcher = log.watch(lambda: woken.append(1))
    assert not watcher.behind
    log.append([said("a")], 1)
    assert watcher.behind
    log.close()
    assert len(woken) == 2


def test_an_event_may_wait_for_the_next() -> None:
    """It is there for whoever looks, but wakes nobody: both go out in one message."""
    woken: list[int] = []
    log = new_log()
    watcher = log.watch(lambda: woken.append(1))
    log.append([said("a")], 1, wake=False)
    assert watcher.behind
    assert not woken
    log.append([said("b")], 1)
    assert len(woken) == 1
    assert texts(watcher) == ["a", "b"]


def test_every_watcher_reads_everything_at_its_own_pace() -> None:
    log = new_log()
    quick, slow = log.watch(ignore), log.watch(ignore)
    for number in range(100):
        log.append([said(str(number))], 1)
        if number % 3 == 0:
            texts(quick)
    log.close()
    assert texts(slow) == [str(number) for number in range(100)]


def test_a_laggard_is_cut_off_and_the_others_read_on() -> None:
    log = new_log(cap=1000)
    quick, slow = log.watch(ignore), log.watch(ignore)
    read = []
    for number in range(100):
        log.append([said(f"{number:50}")], 1)
        read += texts(quick)
    log.close()
    assert read == [str(number) for number in range(100)]
    with pytest.raises(ServiceError) as caught:
        slow.take()
    assert caught.value.reason == ErrorReason.ERROR_REASON_SLOW_CONSUMER


def test_the_last_watcher_to_leave_deserts_the_turn() -> None:
    deserted: list[bool] = []
    log = TurnLog(deserted.append)
    one, other = log.watch(ignore), log.watch(ignore)
    one.close()
    one.close()
    assert deserted == []
    other.close()
    assert deserted == [False]
    late = log.watch(ignore)
    log.close()
    late.close()
    assert deserted == [False]


def test_a_cut_off_watcher_deserts_too() -> None:
    deserted: list[bool] = []
    log = TurnLog(deserted.append, cap=100)
    log.watch(ignore)
    log.append([said("x" * 200)], 1)
    log.append([said("y")], 1)
    assert deserted == [False]


def test_a_batch_above_the_cap_does_not_cut_off_who_keeps_up() -> None:
    log = new_log(cap=100)
    watcher = log.watch(ignore)
    for _ in range(3):
        log.append([said("x" * 90), said("y" * 90)], 1)
        assert len(texts(watcher)) == 2


def test_a_lost_watchers_place_is_kept_for_the_next() -> None:
    deserted: list[bool] = []
    log = TurnLog(deserted.append)
    watcher = log.watch(ignore)
    log.append([said(str(number)) for number in range(10)], 1)
    taken(watcher)
    watcher.confirm(4)  # 0, 1 and 2 have arrived
    watcher.lose()
    assert deserted == [True]
    log.append([said("10")], 1)
    log.close()
    again = log.watch(ignore, after_seq=3)
    assert texts(again) == [str(number) for number in range(3, 11)]
    with pytest.raises(ServiceError) as caught:
        log.watch(ignore, after_seq=2)
    assert caught.value.reason == ErrorReason.ERROR_REASON_SLOW_CONSUMER
    with pytest.raises(ServiceError) as caught:
        log.watch(ignore, after_seq=12)
    assert caught.value.reason == ErrorReason.ERROR_REASON_INVALID_REQUEST


def test_a_failure_is_told_after_the_rest() -> None:
    log = new_log()
    watcher = log.watch(ignore)
    log.append([said("a")], 1)
    log.fail(ServiceError(ErrorReason.ERROR_REASON_POOL_EXHAUSTED, "full", 3))
    assert texts(watcher) == ["a"]
    assert not watcher.done
    with pytest.raises(ServiceError, match="full"):
        taken(watcher)


def test_what_is_taken_is_bounded() -> None:
    log = TurnLog(lambda lost: None)
    watcher = log.watch(ignore)
    log.append([said("x" * 200_000) for _ in range(20)], 1)
    log.close()
    sizes = []
    while not watcher.done:
        sizes.append(taken(watcher)[1])
    assert sum(sizes) > 20 * 200_000
    assert max(sizes) <= 1 << 20
