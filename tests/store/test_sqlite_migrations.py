"""What migrations of a SQLite database make of what is in it."""

import shutil
import sqlite3
from pathlib import Path

from server.pool.account import LeaseId, TaskId
from server.store import schema
from server.store.clock import boot_id, clock_us
from server.store.connection import connect
from server.store.records import Records
from server.store.schema import migrate
from server.store.sqlite import Store
from server.store.sqlite_statements import statements
from tests.store.records import ANN, SLOTS, TTL, busy_tasks, granted, leases, member, task
from tests.support.keys import ring

Row = tuple[object, ...]


def database_at(version: int, folder: Path) -> sqlite3.Connection:
    """Make a database as a Howler of this schema had it, with Ann's account in it."""
    scripts = folder / "migrations"
    scripts.mkdir()
    for script in schema._FOLDER.glob("*.sql"):
        if int(script.name[:4]) <= version:
            shutil.copy(script, scripts)
    database = connect(folder / "howler.db")
    assert migrate(database, scripts) == version
    records = Records(statements(), "before", ring(), SLOTS, 10.0)
    records.admit(database)
    assert records.add_account(database, member(ANN))
    database.execute("INSERT INTO meta VALUES ('boot_id', ?)", (boot_id(),))
    return database


async def test_leases_and_tasks_of_schema_10_keep_their_slots(tmp_path: Path) -> None:
    database = database_at(10, tmp_path)
    until = clock_us() + int(TTL * 1e6)
    held: list[Row] = [
        ("new", 2, 1, "", None),
        ("stop", 2, 2, "held", None),
        ("shared", 1, 3, "", None),
        ("over", 2, 4, "", 5),
    ]
    database.executemany(
        "INSERT INTO lease (lease_id, account_id, mode, token, holder, purpose, task_id, replica, until,"
        f" grant_us, end_us) VALUES (?, '{ANN}', ?, ?, 'h', 'p', ?, 'before', {until}, 1, ?)",
        held,
    )
    tasks: list[Row] = [("held", None), ("idle", None), ("ended", 5)]
    database.executemany(
        f"INSERT INTO task VALUES (?, '{ANN}', 'm', '', 'turn', 0, 1, 1, ?)",
        tasks,
    )
    slots: list[Row] = [("new", "", 1), ("stop", "held", 2), ("", "idle", 3)]
    database.executemany("UPDATE slot SET lease_id = ?, task_id = ? WHERE number = ?", slots)
    database.close()

    async with Store(f"sqlite:///{tmp_path}/howler.db", ring(), SLOTS) as store:
        assert set(await leases(store)) == {"new", "stop", "shared"}
        assert await store.lease_token(LeaseId("over")) == 4
        assert await busy_tasks(store) == {"held": False, "idle": False}
        assert await granted(store, "full") is None
        assert await store.record_task(task("made"), LeaseId("new"))
        await store.end_lease(LeaseId("new"), 6)
        assert await granted(store, "full still") is None, "the slot is its task's"
        await store.end_lease(LeaseId("stop"), 7, ended_task=TaskId("held"))
        assert await granted(store, "next") == 1
        assert await granted(store, "on idle", "idle") == 2
        await store.end_tasks({TaskId("idle"): LeaseId("on idle")}, 8)
        assert await granted(store, "last") == 3
        assert await granted(store, "one too many") is None
