"""T-B1..B4, B7: processes that are killed and stopped at random never hold a slot twice; none stays stuck."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.pool import Pool
from server.store.open import store_at
from tests.support.keys import ring
from tests.support.pool_storm import KILL_EVERY, PROCESSES, SLOTS, TERMS, Storm, rage, seconds
from tests.support.pool_worker import CALLERS, NoPlatform
from tests.support.postgres import Postgres

CRASH_EVERY: Final = 3.0  # seconds
Sum = Callable[[], Awaitable[int]]


async def check(url: str, storm: Storm, tokens_given: Sum) -> None:
    """Check what a storm did and what it left; `tokens_given` returns Σ tokens of accounts."""
    crowds = storm.crowds()
    assert crowds.keys() == SLOTS.keys()
    assert all(crowds[account_id] <= slots for account_id, slots in SLOTS.items()), crowds
    for account_id, slots in SLOTS.items():
        tokens = storm.tokens(account_id)
        assert len(set(tokens)) == len(tokens), "a token was given twice"
        assert slots > 1 or tokens == sorted(tokens), "a token did not grow"
    granted = await tokens_given()
    # A process may be killed between a grant and its line in the log.
    assert 0 <= granted - len(storm.uses) <= (storm.kills + PROCESSES) * CALLERS
    await check_nothing_is_stuck(url)


async def check_nothing_is_stuck(url: str) -> None:
    """Every slot can be had again, and every task that was left is stopped."""

    async def evict(task: Task, lease: Lease | None = None) -> None:
        return

    async with (
        asyncio.timeout(60),
        store_at(url, ring(), TERMS.slots, TERMS.reclaim) as store,
        Pool(store, NoPlatform(), evict=evict, terms=TERMS) as pool,  # type: ignore[arg-type]
    ):
        takes = (
            pool.acquire(LeaseMode.LEASE_MODE_EXCLUSIVE, holder="after", purpose="", wait=30, ttl=30)
            for _ in range(sum(SLOTS.values()))
        )
        leases = await asyncio.gather(*takes)
        assert len({lease.lease_id for lease in leases}) == sum(SLOTS.values())
        assert await store.tasks(TaskState.TASK_STATE_RUNNING, "", 10) == []


def told(where: str, storm: Storm) -> str:
    """Return the counts in a line."""
    return (
        f"{where}: {len(storm.uses)} grants to {PROCESSES} processes, {storm.kills} kills, "
        f"{storm.stops} stops, {storm.orphans} orphaned tasks stopped, holders at most {storm.crowds()}"
    )


async def test_on_sqlite(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    path = tmp_path / "howler.db"
    url = f"sqlite:///{path}"
    storm = await rage(url, tmp_path / "log", seconds())

    async def tokens_given() -> int:
        database = sqlite3.connect(path)
        try:
            (tokens,) = database.execute("SELECT sum(token) FROM account").fetchone()
            (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        finally:
            database.close()
        assert sound == "ok"
        return int(tokens)

    record_property("counted", told("SQLite", storm))
    assert storm.kills > 0.8 * seconds() / KILL_EVERY
    await check(url, storm, tokens_given)


async def test_on_postgresql(
    tmp_path: Path, postgres: Postgres, postgres_url: str, record_property: Callable[[str, object], None]
) -> None:
    """The database crashes every now and then as well."""
    crashes = 0
    crash: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def disturb() -> None:
        nonlocal crashes, crash
        await asyncio.sleep(CRASH_EVERY)
        if postgres.ours:
            crashes += 1
            crash = asyncio.ensure_future(asyncio.to_thread(postgres.restart))
            await asyncio.shield(crash)  # one that has begun is brought to its end

    storm = await rage(postgres_url, tmp_path / "log", seconds(), disturb)
    if crashes:
        await crash

    async def tokens_given() -> int:
        database = await asyncpg.connect(postgres_url)
        try:
            return int(await database.fetchval("SELECT sum(token) :: BIGINT FROM account"))
        finally:
            await database.close()

    record_property("counted", told(f"PostgreSQL, {crashes} crashes of it", storm))
    assert storm.kills > 0.8 * seconds() / KILL_EVERY
    await check(postgres_url, storm, tokens_given)
