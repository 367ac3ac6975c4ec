"""What is SQLite's own: files, PRAGMAs, migrations, the writer thread and its group commits."""

import asyncio
import sqlite3
import stat
import threading
import time
from pathlib import Path

import pytest
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode

from server.pool.account import AccountId, Member, TaskId
from server.pool.show import timestamp
from server.pool.treatment import COOLDOWN_CAP
from server.store import connection as connections
from server.store.connection import connect, sqlite_path
from server.store.errors import DatabaseUrlError, SchemaError, StoreError
from server.store.queries import load_queries, numbered
from server.store.schema import migrate
from server.store.sqlite import Store
from server.store.worker import Worker
from tests.support.keys import ring


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///var/howler.db", "var/howler.db"), ("sqlite:////srv/a%20b.db", "/srv/a b.db")],
)
def test_urls(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "mysql://x/y", "/var/x.db", "sqlite://host/x"]
)
def test_urls_that_name_nothing(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="HOWLER_DATABASE_URL: must have the form"):
        Store(url, ring())


def test_a_postgresql_is_no_file() -> None:
    with pytest.raises(DatabaseUrlError, match="must have the form"):
        Store("postgresql://user:canary@host/db", ring())


async def test_the_database_is_private(tmp_path: Path) -> None:
    async with Store(f"sqlite:///{tmp_path}/var/howler.db", ring()) as store:
        await store.add_account(Member(AccountId("a")))
        folder = tmp_path / "var"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert "howler.db" in modes
        assert modes.pop("howler.db.replicas") == 0o700
        assert set(modes.values()) == {0o600}


async def test_two_servers_that_start_at_once_make_one_schema(tmp_path: Path) -> None:
    """T-F6."""
    stores = [Store(f"sqlite:///{tmp_path}/howler.db", ring()) for _ in range(6)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    try:
        assert await stores[0].add_account(Member(AccountId("a")))
        assert [len((await store.books()).members) for store in stores] == [1] * 6
    finally:
        for store in stores:
            await store.__aexit__()
    assert list((tmp_path / "howler.db.replicas").iterdir()) == []


async def test_after_another_boot_every_lease_has_lapsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of leases begins anew at a boot; cooldowns go on by the wall clock, but within their cap."""
    url, ann = f"sqlite:///{tmp_path}/howler.db", AccountId("a")
    now_us = time.time_ns() // 1000
    async with Store(url, ring()) as store:
        await store.add_account(Member(ann, cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE))
        lease = Lease(lease_id="l", account_id=ann, mode=LeaseMode.LEASE_MODE_EXCLUSIVE)
        assert await store.grant(lease, TaskId(""), 10**6, now_us) == 1
        for model, seconds in (("soon", 60), ("late", 10**6), ("over", -60)):
            cooldown = Cooldown(upstream_model_id=model, until_time=timestamp(now_us + seconds * 10**6))
            await store.cool(ann, cooldown, 10**6)
        assert await store.claim_login(ann, 10**6)
    monkeypatch.setattr("server.store.sqlite.boot_id", lambda: "another")
    async with Store(url, ring()) as store:
        books = await store.books()
        assert books.leases == []
        left = {cold.cooldown.upstream_model_id: cold.left for cold in books.cooldowns}
        assert left.keys() == {"soon", "late"}
        assert left["soon"] <= 60 < left["late"] <= COOLDOWN_CAP
        assert await store.claim_login(ann, 1)
        assert await store.grant(lease_again(lease), TaskId(""), 1, now_us) == 2


def lease_again(lease: Lease) -> Lease:
    return Lease(lease_id=f"{lease.lease_id}2", account_id=lease.account_id, mode=lease.mode)


async def test_a_writer_waits_for_another_process_and_gives_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M11: no waiter starves behind SQLite's growing pauses; who holds the database for ever is told of."""
    monkeypatch.setattr("server.store.worker._BUSY_SECONDS", 0.2)
    async with Store(f"sqlite:///{tmp_path}/howler.db", ring()) as store:
        rival = connect(tmp_path / "howler.db")
        rival.execute("BEGIN IMMEDIATE")
        adding = asyncio.create_task(store.add_account(Member(AccountId("a"))))
        await asyncio.sleep(0.05)
        rival.execute("COMMIT")
        assert await adding
        rival.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await store.add_account(Member(AccountId("b")))
        rival.close()


async def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "howler.db").write_text("this is no database, " * 500)
    with pytest.raises(StoreError, match="cannot be used"):
        async with Store(f"sqlite:///{tmp_path}/howler.db", ring()):
            pass
    with pytest.raises(StoreError, match="cannot be opened"):
        async with Store("sqlite:////proc/none/howler.db", ring()):
            pass


def test_a_pragma_that_does_not_hold_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """T-F7."""
    monkeypatch.setitem(connections._PRAGMAS, "page_size", 1000)  # no power of two: SQLite ignores it
    with pytest.raises(StoreError, match="PRAGMA page_size is 4096, not 1000"):
        connect(tmp_path / "howler.db")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """T-F6."""
    database = connect(tmp_path / "howler.db")
    newest = migrate(database)
    assert migrate(database) == newest
    database.execute("INSERT INTO schema_version (version) VALUES (?)", (newest + 1,))
    with pytest.raises(SchemaError, match=f"has schema {newest + 1}, this Howler knows {newest}"):
        migrate(database)
    database.close()


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_a.sql").write_text("CREATE TABLE a (x);\nCREATE TABLE a (x);\n")
    database = connect(tmp_path / "howler.db")
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, folder)
    assert database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    database.close()


def test_every_query_compiles_and_says_what_it_is_for(tmp_path: Path) -> None:
    database = connect(tmp_path / "howler.db")
    migrate(database)
    for query in load_queries("sqlite").values():
        text, names = numbered(query, "?")
        database.execute(f"EXPLAIN {text}", [None] * len(names))
    folder = Path(connections.__file__).parent / "sql"
    for path in [*folder.glob("*.sql"), *folder.glob("sqlite/*.sql")]:
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith("-- name:"):
                assert lines[number + 1].startswith("-- "), f"{path.name}: {line} has no line of intent"
    database.close()


def test_queries_with_mistakes(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- name: one\n-- It.\nSELECT 1;\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="one is defined twice"):
        load_queries("sqlite", tmp_path)
    (tmp_path / "a.sql").write_text("-- name: one\n-- It.\n")
    with pytest.raises(ValueError, match="one is not a statement"):
        load_queries("sqlite", tmp_path)


async def opened(path: Path) -> Worker:
    worker = Worker("test", lambda: connect(path), writes=True)
    await worker.open()
    await worker.run(lambda db: db.execute("CREATE TABLE n (x INTEGER PRIMARY KEY)").rowcount)
    return worker


async def test_one_failure_in_a_group_hurts_only_itself(tmp_path: Path) -> None:
    worker = await opened(tmp_path / "x.db")
    hold = threading.Event()
    first = worker.run(lambda _: hold.wait(5))
    await asyncio.sleep(0.05)

    def insert(db: sqlite3.Connection, number: int) -> int:
        db.execute("INSERT INTO n VALUES (?)", (number,))
        if number == 13:
            raise LookupError("mine")
        return number

    work = [worker.run(lambda db, n=n % 40: insert(db, n)) for n in range(80)]
    await asyncio.sleep(0)
    hold.set()
    results = await asyncio.gather(first, *work, return_exceptions=True)
    done = [result for result in results[1:] if isinstance(result, int)]
    assert sorted(done) == [n for n in range(40) if n != 13]
    assert sum(isinstance(result, LookupError) for result in results) == 2
    assert sum(isinstance(result, StoreError) for result in results) == 39
    assert await worker.run(lambda db: db.execute("SELECT count(*) FROM n").fetchone()[0]) == 39
    await worker.close()


async def test_queued_work_is_done_before_closing_and_refused_after(tmp_path: Path) -> None:
    worker = await opened(tmp_path / "x.db")
    work = [
        worker.run(lambda db, n=n: db.execute("INSERT INTO n VALUES (?)", (n,)).rowcount) for n in range(200)
    ]
    await asyncio.sleep(0)
    await worker.close()
    assert await asyncio.gather(*work) == [1] * 200
    with pytest.raises(StoreError, match="closed"):
        await worker.run(lambda db: None)


async def test_a_cancelled_caller_does_not_stop_its_operation(tmp_path: Path) -> None:
    worker = await opened(tmp_path / "x.db")
    work = worker.run(lambda db: db.execute("INSERT INTO n VALUES (1)").rowcount)
    await asyncio.sleep(0)
    work.cancel()
    assert await worker.run(lambda db: db.execute("SELECT count(*) FROM n").fetchone()[0]) == 1
    await worker.close()


async def test_a_lost_transaction_is_told_to_all_and_the_next_one_works(tmp_path: Path) -> None:
    worker = await opened(tmp_path / "x.db")

    def give_up(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO n VALUES (1)")
        db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(StoreError, match="disk is full"):
        await worker.run(give_up)
    assert await worker.run(lambda db: db.execute("SELECT count(*) FROM n").fetchone()[0]) == 0
    await worker.close()
