"""The turn's log and its watchers: the writer never waits, a watcher is a cursor, the store has the rest."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent, TextDelta
from howler.task.v1.task_service_pb2 import StreamResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import ServiceError
from server.store.open import AnyStore
from server.store.turns import StoredTurn
from server.turn.journal import READ_BYTES, Journal
from server.turn.log import BATCH_BYTES, CAP_BYTES, SPAN_BYTES, DurableLog, TurnLog
from server.turn.watcher import Watcher
from tests.store.records import opened

SECONDS = 60.0  # a test that waits for longer has failed


def said(text: str) -> TaskEvent:
    return TaskEvent(text_delta=TextDelta(text=text))


def ignore() -> None:
    """Nobody needs to be woken."""


def staying(lost: bool) -> None:
    """Nothing becomes of a turn that is left."""


@pytest.fixture
def log(journal: Journal) -> TurnLog:
    return TurnLog("turn", journal, staying)


async def durable(store: AnyStore, journal: Journal, turn_id: str = "turn") -> DurableLog:
    await journal.begin(StoredTurn(turn_id, StartTurn(prompt="hi"), "acc", "l1", create_us=1))
    return DurableLog(turn_id, journal, staying)


def taken(watcher: Watcher, limit: int = BATCH_BYTES) -> list[TaskEvent]:
    """Take what is ready, as a message holds it."""
    piece = watcher.take(limit)
    events = list(StreamResponse.FromString(b"".join(piece.fields)).events)
    assert len(events) == piece.count
    assert piece.size == sum(event.ByteSize() for event in events)
    return events


def texts(watcher: Watcher) -> list[str]:
    return [event.text_delta.text.strip() for event in taken(watcher)]


class Reading:
    """A watcher that reads to the end, in pieces of up to `limit` bytes."""

    def __init__(self, log: TurnLog, after_seq: int = 0, limit: int = BATCH_BYTES) -> None:
        self._stirred = asyncio.Event()
        self._limit = limit
        self.watcher = Watcher(log, self._stirred.set, after_seq)
        self.events: list[TaskEvent] = []

    async def rest(self) -> list[TaskEvent]:
        """Read until the log has ended."""
        async with asyncio.timeout(SECONDS):
            while not self.watcher.done:
                self._stirred.clear()
                events = taken(self.watcher, self._limit)
                self.events += events
                if not events:
                    await self._stirred.wait()
        return self.events


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


# What is told, to whom and when.


async def test_events_are_numbered_dated_and_gathered(log: TurnLog) -> None:
    watcher = Watcher(log, ignore)
    log.append([said("a")], 5)
    log.append([said("b"), TaskEvent(time_unix_ms=9, text_delta=TextDelta(text="c"))], 6)
    assert [(event.seq, event.time_unix_ms, event.text_delta.text) for event in taken(watcher)] == [
        (1, 5, "a"),
        (2, 6, "b"),
        (3, 9, "c"),
    ]
    assert not watcher.done
    log.close()
    assert watcher.done
    assert taken(watcher) == []


async def test_a_watcher_is_woken_by_what_comes(log: TurnLog) -> None:
    woken: list[int] = []
    watcher = Watcher(log, lambda: woken.append(1))
    assert not watcher.behind
    log.append([said("a")], 1)
    assert watcher.behind
    log.close()
    assert len(woken) == 2


async def test_an_event_may_wait_for_the_next(log: TurnLog) -> None:
    woken: list[int] = []
    watcher = Watcher(log, lambda: woken.append(1))
    log.append([said("a")], 1, show=False)
    assert not watcher.behind
    log.append([said("b")], 1)
    assert len(woken) == 1
    assert texts(watcher) == ["a", "b"]


async def test_every_watcher_reads_everything_at_its_own_pace(log: TurnLog) -> None:
    quick, slow = Watcher(log, ignore), Watcher(log, ignore)
    for number in range(100):
        log.append([said(str(number))], 1)
        if number % 3 == 0:
            texts(quick)
    log.close()
    assert texts(slow) == [str(number) for number in range(100)]


async def test_the_last_watcher_to_leave_deserts_the_turn(journal: Journal) -> None:
    deserted: list[bool] = []
    log = TurnLog("turn", journal, deserted.append)
    one, other = Watcher(log, ignore), Watcher(log, ignore)
    one.close()
    one.close()
    assert deserted == []
    other.lose()
    assert deserted == [True]
    late = Watcher(log, ignore)
    log.close()
    late.close()
    assert deserted == [True]


async def test_a_watcher_begins_where_it_says(log: TurnLog) -> None:
    log.append([said(str(number)) for number in range(10)], 1)
    assert texts(Watcher(log, ignore, after_seq=7)) == ["7", "8", "9"]
    at_the_end = Watcher(log, ignore, after_seq=10)
    assert not at_the_end.behind
    with pytest.raises(ServiceError) as caught:
        Watcher(log, ignore, after_seq=11)
    assert caught.value.reason == ErrorReason.ERROR_REASON_INVALID_REQUEST
    log.close()
    assert at_the_end.done


async def test_who_asks_for_what_is_there_now_gets_no_more(log: TurnLog) -> None:
    log.append([said("a"), said("b")], 1)
    watcher = Watcher(log, ignore, after_seq=1, until_now=True)
    log.append([said("c")], 1)
    assert texts(watcher) == ["b"]
    assert watcher.told
    assert watcher.done
    nothing = Watcher(log, ignore, after_seq=3, until_now=True)
    assert nothing.behind, "that there is nothing is to be told"
    assert nothing.done


async def test_a_failure_is_told_after_the_rest(log: TurnLog) -> None:
    watcher = Watcher(log, ignore)
    log.append([said("a")], 1)
    log.fail(ServiceError(ErrorReason.ERROR_REASON_POOL_EXHAUSTED, "full", 3))
    assert texts(watcher) == ["a"]
    assert not watcher.done
    with pytest.raises(ServiceError, match="full"):
        taken(watcher)


async def test_what_is_taken_is_bounded(log: TurnLog) -> None:
    reading = Reading(log, limit=300_000)
    sizes = []
    for _ in range(20):
        log.append([said("x" * 200_000), said("y" * 150_000)], 1)
    log.close()
    watcher = reading.watcher
    async with asyncio.timeout(SECONDS):
        while not watcher.done:
            sizes.append(watcher.take(300_000).size)
            await asyncio.sleep(0)
    assert sum(sizes) > 20 * 350_000
    assert max(sizes) <= 300_000


# What is in memory, and what in the store.


async def test_all_of_a_short_log_is_in_memory(store: AnyStore, log: TurnLog) -> None:
    for number in range(500):
        log.append([said(f"{number:100}")], 1)
    assert log.size > SPAN_BYTES
    log.close()
    assert [event.text_delta.text.strip() for event in await Reading(log).rest()] == list(
        map(str, range(500))
    )
    assert not log.spilled
    assert await store.turns.get("turn") is None


async def test_memory_is_bounded_whoever_does_not_read(store: AnyStore, log: TurnLog) -> None:
    stalled = [Watcher(log, ignore) for _ in range(20)]
    for number in range(5_000):
        log.append([said(f"{number:1000}")], 1)
        if number % 50 == 0:
            await asyncio.sleep(0.001)
    await holds(lambda: log.size <= CAP_BYTES + 2 * SPAN_BYTES)
    log.close()
    async with asyncio.timeout(SECONDS):
        for watcher in stalled:
            watcher.close()
        assert await Reading(log, limit=10_000).rest() == await Reading(log).rest()


async def test_a_laggard_reads_on_from_the_store(log: TurnLog) -> None:
    quick, slow = Reading(log), Reading(log)
    first = texts(slow.watcher)
    assert first == []
    for number in range(2_000):
        log.append([said(f"{number:500}")], 1)
        quick.events += taken(quick.watcher)
        await asyncio.sleep(0)
    await holds(lambda: log.spilled)
    log.close()
    assert [event.seq for event in await slow.rest()] == list(range(1, 2_001))
    assert slow.events == await quick.rest()


async def test_a_watcher_holds_no_more_than_a_batch(journal: Journal, log: TurnLog) -> None:
    for number in range(1_000):
        log.append([said(f"{number:500}")], 1)
    await holds(lambda: log.spilled)
    spans = await journal.read("turn", 1)
    assert len(spans) < 10
    assert sum(len(span.events) for span in spans[:-1]) < READ_BYTES


async def test_an_event_larger_than_all_bounds(log: TurnLog) -> None:
    sizes = [10, 3 << 20, 10, 200_000, 200_000, 10]
    reading = Reading(log, limit=1000)
    for size in sizes:
        log.append([said("x" * size)], 1)
        await asyncio.sleep(0.01)
    log.close()
    assert [len(event.text_delta.text) for event in await reading.rest()] == sizes


async def test_what_is_forgotten_is_not_found(store: AnyStore, journal: Journal, log: TurnLog) -> None:
    for number in range(1_000):
        log.append([said(f"{number:500}")], 1)
    await holds(lambda: log.spilled)
    journal.drop(["turn"])
    while await store.turns.get("turn"):
        await asyncio.sleep(0.005)
    log.close()
    with pytest.raises(ServiceError) as caught:
        await Reading(log).rest()
    assert caught.value.reason == ErrorReason.ERROR_REASON_TURN_NOT_FOUND


# Durable logs.


async def test_an_event_is_shown_once_it_is_stored(store: AnyStore, journal: Journal) -> None:
    log = await durable(store, journal)
    reading = Reading(log)
    for number in range(100):
        log.append([said(str(number))], 1)
        assert log.shown <= number + 1
        if number % 7 == 0:
            await holds(lambda: reading.watcher.behind)
            found = await store.turns.get("turn")
            assert found is not None
            reading.events += taken(reading.watcher)
            assert found.last_seq >= reading.events[-1].seq
    log.close()
    assert not reading.watcher.done
    assert [event.text_delta.text for event in await reading.rest()] == list(map(str, range(100)))
    found = await store.turns.get("turn")
    assert found is not None
    assert found.last_seq == 100


async def test_what_comes_while_one_write_runs_forms_the_next(store: AnyStore, journal: Journal) -> None:
    """A row is a batch of a turn, not an event."""
    log = await durable(store, journal)
    for number in range(1_000):
        log.append([said(str(number))], 1)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await holds(lambda: log.shown == 1_001)
    spans = await store.turns.read("turn", 1, 1 << 20)
    assert sum(span.count for span in spans) == 1_000
    assert len(spans) <= 11


async def test_a_log_is_the_same_in_memory_and_read_back(store: AnyStore, journal: Journal) -> None:
    log = await durable(store, journal)
    chance = random.Random(7)
    for _ in range(400):
        log.append([said("x" * chance.randrange(1, 4_000)) for _ in range(chance.randrange(4))], 1)
        if chance.random() < 0.3:
            await asyncio.sleep(0.002)
    log.close()
    reading = Reading(log)
    told = await reading.rest()
    assert log.size <= CAP_BYTES + 2 * SPAN_BYTES
    log.release()
    assert log.size <= 2 * SPAN_BYTES, "the newest stay as they are for who reads"
    reading.watcher.close()
    assert log.size == 0
    assert await Reading(log, limit=5_000).rest() == told
    later = DurableLog("turn", journal, staying)
    later.restore(log.next_seq)
    later.ended = True
    for after in (0, 1, 17, len(told) - 1, len(told)):
        assert await Reading(later, after).rest() == told[after:]


async def test_a_turn_of_another_replica_is_not_written(
    store: AnyStore, journal: Journal, tmp_path: Path
) -> None:
    log = await durable(store, journal)
    log.append([said("ours")], 1)
    await holds(lambda: log.shown == 2)
    async with opened(f"sqlite:///{tmp_path}/howler.db") as other:
        assert await other.turns.claim("turn", store.replica, "acc", "l2")
        reading = Reading(log)
        log.append([said("never told")], 1)
        with pytest.raises(ServiceError) as caught:
            await reading.rest()
    assert caught.value.reason == ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE
    assert [event.text_delta.text for event in reading.events] == ["ours"]


# Whatever happens.


@pytest.fixture
async def journals(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(f"sqlite:///{tmp_path}/any.db") as store, Journal(store.turns) as journal:
        yield journal


sizes = st.lists(st.integers(1, 60_000), min_size=1, max_size=40)


@pytest.mark.parametrize("kind", [TurnLog, DurableLog])
async def test_every_watcher_is_told_the_same(journals: Journal, kind: type[TurnLog]) -> None:
    """Property: whatever the sizes, wherever they begin and however much they take at once."""
    number = 0

    async def example(sizes: list[int], begins: list[float], limit: int) -> None:
        nonlocal number
        number += 1
        turn_id = f"{kind.__name__}{number}"
        if kind is DurableLog:
            await journals.begin(StoredTurn(turn_id, StartTurn(), "acc", "l1", create_us=1))
        log = kind(turn_id, journals, staying)
        readings = [(0, Reading(log, limit=limit))]
        for index, size in enumerate(sizes):
            log.append([said("x" * size)], index + 1)
            await asyncio.sleep(0)
            if index < len(begins):
                after = int(begins[index] * (log.shown - 1))
                readings.append((after, Reading(log, after, limit)))
        log.close()
        everything = await readings[0][1].rest()
        assert [len(event.text_delta.text) for event in everything] == sizes
        assert [event.seq for event in everything] == list(range(1, len(sizes) + 1))
        for after, reading in readings[1:]:
            assert await reading.rest() == everything[after:]
        for after in range(len(sizes) + 1):
            assert await Reading(log, after, limit).rest() == everything[after:]

    loop = asyncio.get_running_loop()

    @settings(max_examples=25)
    @given(sizes, st.lists(st.floats(0, 1), max_size=10), st.integers(1, 100_000))
    def run(sizes: list[int], begins: list[float], limit: int) -> None:
        asyncio.run_coroutine_threadsafe(example(sizes, begins, limit), loop).result()

    await asyncio.to_thread(run)
