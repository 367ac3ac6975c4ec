"""The journal: what happens to logs while the store fails, and at the end."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent, TextDelta

from server.store import worker
from server.store.open import AnyStore
from server.store.turns import StoredTurn, TurnChange
from server.turn.journal import Journal
from server.turn.log import CAP_BYTES, DurableLog, TurnLog
from tests.store.records import opened

SECONDS = 60.0  # a test that waits for longer has failed


def said(text: str) -> TaskEvent:
    return TaskEvent(text_delta=TextDelta(text=text))


def staying(lost: bool) -> None:
    """Nothing becomes of a turn that is left."""


async def durable(journal: Journal, turn_id: str) -> DurableLog:
    await journal.begin(StoredTurn(turn_id, StartTurn(), "acc", "l1", create_us=1))
    return DurableLog(turn_id, journal, staying)


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """Return another process's connection; a write does not wait for it for long."""
    monkeypatch.setattr(worker, "_BUSY_SECONDS", 0.05)
    return sqlite3.connect(tmp_path / "howler.db", isolation_level=None)


async def test_what_cannot_be_written_is_written_later(
    store: AnyStore, journal: Journal, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is told before, nothing is lost, and the end comes with what it ends."""
    log = await durable(journal, "turn")
    locked.execute("BEGIN IMMEDIATE")
    log.append([said("a")], 1)
    await holds(lambda: "could not be written yet" in caplog.text)
    log.append([said("b")], 1)
    journal.change(TurnChange("turn", "t1", "m", 9, EndReason.END_REASON_COMPLETED))
    log.close()
    waiting = asyncio.create_task(journal.caught_up(log))
    await asyncio.sleep(0.2)
    assert (log.shown, waiting.done()) == (1, False)
    assert log.owed
    locked.execute("ROLLBACK")
    locked.close()
    await waiting
    assert (log.shown, log.owed) == (3, False)
    found = await store.turns.get("turn")
    assert found is not None
    assert (found.last_seq, found.end_us, found.task_id) == (2, 9, "t1")


async def test_a_log_that_cannot_be_spilled_stays_in_memory(
    journal: Journal, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    log = TurnLog("turn", journal, staying)
    locked.execute("BEGIN IMMEDIATE")
    for number in range(500):
        log.append([said(f"{number:1000}")], 1)
    await holds(lambda: "could not be written yet" in caplog.text)
    assert log.shown == 501
    assert log.size > 500_000
    locked.execute("ROLLBACK")
    locked.close()
    await holds(lambda: log.size < 2 * CAP_BYTES)


async def test_what_is_noted_is_written_before_the_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/howler.db"
    async with opened(url) as store:
        async with Journal(store.turns) as journal:
            logs = [await durable(journal, f"turn{number}") for number in range(20)]
            for log in logs:
                log.append([said("last words")], 1)
        assert all(log.shown == 2 for log in logs)
        found = await store.turns.get("turn7")
        assert found is not None
        assert found.last_seq == 1


async def test_a_turn_is_read_back_whole(journal: Journal) -> None:
    log = await durable(journal, "turn")
    for number in range(1_000):
        log.append([said(f"{number:300}")], 1)
        if number % 10 == 0:
            await asyncio.sleep(0)
    await holds(lambda: log.shown == 1_001)
    batches = [events async for events in journal.events("turn")]
    assert len(batches) > 1
    read = [event for batch in batches for event in batch]
    assert [event.seq for event in read] == list(range(1, 1_001))
    assert [event.text_delta.text.strip() for event in read] == list(map(str, range(1_000)))
