"""The way past the writer's thread: when it is taken, and that it changes nothing but the time."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.store.connection import connect, hurry
from server.store.errors import StoreError
from server.store.shortcut import Shortcut
from server.store.worker import Operation, Worker

OURS = threading.get_ident


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database with a table."""
    database = connect(tmp_path / "x.db")
    database.execute("CREATE TABLE n (x INTEGER PRIMARY KEY, said TEXT)")
    database.close()
    return tmp_path / "x.db"


@pytest.fixture
async def worker(path: Path) -> AsyncIterator[Worker]:
    """Give a worker on it."""

    def shared() -> sqlite3.Connection:
        connection = connect(path, shared=True)
        hurry(connection)
        return connection

    worker = Worker("test", shared, writes=True)
    await worker.open()
    yield worker
    await worker.close()


@pytest.fixture
async def shortcut(worker: Worker) -> Shortcut:
    """Give a shortcut past the worker, whose first detour is over."""
    shortcut = Shortcut(worker)
    shortcut._count = 1
    return shortcut


def add(number: int, said: str = "") -> Operation[int]:
    """Return an operation that adds a row and tells which thread did."""

    def operation(db: sqlite3.Connection) -> int:
        db.execute("INSERT INTO n VALUES (?, ?)", (number, said))
        return threading.get_ident()

    return operation


async def test_it_is_taken_where_nothing_is_in_the_way(shortcut: Shortcut, worker: Worker) -> None:
    told = list[int]()
    assert await shortcut.run(add(1), told.append) == OURS()
    assert told == [OURS()]
    assert await worker.run(lambda db: db.execute("SELECT count(*) FROM n").fetchone()[0]) == 1


async def test_all_keep_the_order_of_their_calls(shortcut: Shortcut, worker: Worker) -> None:
    """What is asked while the worker is at work is done behind it."""
    hold = threading.Event()

    def held(db: sqlite3.Connection) -> int:
        hold.wait(5)
        return add(1)(db)

    first = worker.run(held)
    await asyncio.sleep(0)
    second = shortcut.run(lambda db: db.execute("SELECT max(x) FROM n").fetchone()[0])
    third = shortcut.run(add(2))
    await asyncio.sleep(0)
    assert not second.done()
    hold.set()
    assert await second == 1
    assert await third == await first != OURS()
    assert await shortcut.run(add(3)) == OURS()


async def test_many_at_once_share_a_transaction(shortcut: Shortcut, worker: Worker) -> None:
    """The first few are carried out at once, the others together a moment later: one that fails, too."""
    statements = list[str]()
    worker.connection.set_trace_callback(statements.append)
    asked = [shortcut.run(add(number % 39)) for number in range(40)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    worker.connection.set_trace_callback(None)
    assert [type(outcome) for outcome in outcomes] == [int] * 39 + [StoreError]
    assert statements.count("BEGIN IMMEDIATE ") + statements.count("BEGIN IMMEDIATE") < 10
    assert await worker.run(lambda db: db.execute("SELECT count(*) FROM n").fetchone()[0]) == 39


async def test_what_fails_once_it_is_committed_fails_for_its_caller_alone(shortcut: Shortcut) -> None:
    def bug(_: int) -> None:
        raise LookupError("mine")

    asked = [shortcut.run(add(number), bug if number == 6 else None) for number in range(9)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [number for number, outcome in enumerate(outcomes) if isinstance(outcome, LookupError)] == [6]


async def test_what_waits_when_the_store_is_closed_is_done(
    shortcut: Shortcut, worker: Worker, path: Path
) -> None:
    waiting = [shortcut.run(add(number)) for number in range(20)]
    await asyncio.sleep(0)
    shortcut.give_up()
    await worker.close()
    await asyncio.gather(*waiting)
    with pytest.raises(StoreError, match="closed"):
        await shortcut.run(add(20))
    database = connect(path)
    assert database.execute("SELECT count(*) FROM n").fetchone()[0] == 20
    database.close()


async def test_another_process_that_writes_is_waited_for_in_the_thread(
    shortcut: Shortcut, path: Path
) -> None:
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    waiting = shortcut.run(add(1))
    for _ in range(5):
        await asyncio.sleep(0.01)  # the loop goes on meanwhile
    assert not waiting.done()
    other.execute("COMMIT")
    assert await waiting != OURS()
    other.close()


async def test_a_failure_undoes_itself_and_no_other(shortcut: Shortcut, worker: Worker) -> None:
    def lost(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO n VALUES (7, '')")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await shortcut.run(lost)
    await shortcut.run(add(1))
    with pytest.raises(StoreError, match="UNIQUE"):
        await shortcut.run(add(1))
    assert await worker.run(lambda db: [row["x"] for row in db.execute("SELECT x FROM n")]) == [1]


async def test_the_log_is_written_back_now_and_then(shortcut: Shortcut, path: Path) -> None:
    """It would grow for ever: 6,000 transactions of two pages each are 48 MB."""
    for number in range(6000):
        await shortcut.run(add(number, "x" * 2000))
    assert path.with_name("x.db-wal").stat().st_size < 24 << 20
