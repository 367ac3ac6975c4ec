"""A turn that runs: what is told alone, and what ends a wait."""

import asyncio
import weakref

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Durability, StartTurn
from howler.task.v1.task_event_pb2 import Accepted, EndReason, TaskEvent, TextDelta

from server.errors import ServiceError
from server.turn.journal import Journal
from server.turn.live import Cause, Interrupted, LiveTurn, TurnId
from server.turn.watcher import Watcher

NO_DISK = ServiceError(ErrorReason.ERROR_REASON_VM_FAILED, "no disk")


@pytest.fixture
async def live(journal: Journal) -> LiveTurn:
    start = StartTurn(prompt="hello", durability=Durability.DURABILITY_EPHEMERAL)
    return LiveTurn(TurnId("turn_1"), start, journal, detach_grace=0)


async def waits(live: LiveTurn) -> None:
    """Wait for what never comes."""
    with live.waiting():
        await asyncio.Event().wait()


async def test_what_nothing_follows_goes_out_by_itself(live: LiveTurn) -> None:
    woken = asyncio.Event()
    Watcher(live.log, woken.set)
    live.tell_with_next(TaskEvent(accepted=Accepted(turn_id="turn_1")))
    assert not woken.is_set()
    await woken.wait()


async def test_what_is_followed_goes_out_with_it(live: LiveTurn) -> None:
    woken: list[int] = []
    watcher = Watcher(live.log, lambda: woken.append(1))
    live.tell_with_next(TaskEvent(accepted=Accepted(turn_id="turn_1")))
    live.tell([TaskEvent(text_delta=TextDelta(text="Hi"))])
    assert len(woken) == 1
    assert watcher.take().count == 2
    await asyncio.sleep(0.05)
    assert len(woken) == 1, "nobody is woken for what was read"


async def test_a_wait_that_is_broken_off_raises_why(live: LiveTurn) -> None:
    waiting = asyncio.create_task(waits(live))
    await asyncio.sleep(0)
    live.break_off(NO_DISK)
    with pytest.raises(ServiceError) as caught:
        await waiting
    assert caught.value is NO_DISK
    with live.waiting():
        await asyncio.sleep(0)


async def test_an_interruption_goes_before_what_broke_a_wait_off(live: LiveTurn) -> None:
    waiting = asyncio.create_task(waits(live))
    await asyncio.sleep(0)
    live.break_off(NO_DISK)
    live.interrupt(Cause.CANCELLED)
    with pytest.raises(Interrupted) as caught:
        await waiting
    assert caught.value.cause is Cause.CANCELLED


async def test_a_wait_that_is_ending_may_be_interrupted(live: LiveTurn) -> None:
    waiting = asyncio.create_task(waits(live))
    await asyncio.sleep(0)
    live.break_off(NO_DISK)
    await asyncio.sleep(0)  # its time is over, and it has not heard of it
    live.interrupt(Cause.CANCELLED)
    with pytest.raises(Interrupted):
        await waiting


async def test_nothing_is_broken_off_where_nothing_waits(live: LiveTurn) -> None:
    live.break_off(NO_DISK)
    with live.waiting():
        await asyncio.sleep(0)


async def test_a_log_that_is_kept_holds_nothing_of_its_turn(journal: Journal) -> None:
    """A prompt may be large, and logs are kept for minutes: the turn goes at once, not with the collector."""
    start = StartTurn(prompt="hello", durability=Durability.DURABILITY_EPHEMERAL)
    live = LiveTurn(TurnId("turn_1"), start, journal, detach_grace=0)
    log, turn = live.log, weakref.ref(live)
    with live.waiting():
        await asyncio.sleep(0)
    live.end(EndReason.END_REASON_COMPLETED)
    del live
    assert log.ended
    assert turn() is None
