"""P9 over several processes: two pools on one ledger see, wait for and take over each other's leases."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool.account import AccountId, TaskId
from server.pool.pool import Pool
from server.pool.terms import Terms
from server.store.errors import StoreError
from server.store.sqlite import Store
from tests.support.process import ROOT
from tests.unit.pool.stand_in import (
    SHARED,
    Platform,
    give,
    idle_task,
    pool_in,
    take,
    until,
    with_accounts,
)
from tests.unit.pool.test_leases import reason_of

E = ErrorReason
SHORT = Terms(ttl=0.6, renew=0.1, margin=0.1, reclaim=0.1)


@asynccontextmanager
async def two_pools(
    folder: Path, platform: Platform, terms: Terms = SHORT
) -> AsyncIterator[tuple[Pool, Pool, Store]]:
    """Open two replicas on the database of a folder."""
    async with pool_in(folder, platform, terms) as (one, store), pool_in(folder, platform, terms) as (two, _):
        yield one, two, store


async def test_a_slot_of_one_replica_is_taken_for_the_other(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, _):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        lease = await take(one)
        assert await reason_of(take(two, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        waiting = asyncio.create_task(take(two, wait=20))
        await until(lambda: len(two._queue) == 1)
        await give(one, lease)
        assert (await waiting).token > lease.token, "woken by the other replica, without polling"


async def test_a_stale_board_costs_a_waiter_neither_its_place_nor_the_account(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, _):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        results = await asyncio.gather(
            *(take(pool, wait=4, ttl=30.0) for pool in (one, two)),
            *(take(one, wait=0.5) for _ in range(3)),
            return_exceptions=True,
        )
        won = [result for result in results if not isinstance(result, BaseException)]
        assert len(won) == 1
        await give(one, won[0])
        assert all(
            not isinstance(result, ServiceError) or result.reason == E.ERROR_REASON_POOL_EXHAUSTED
            for result in results[2:]
        )


async def test_kept_leases_are_renewed_in_one_write_and_others_lapse(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, store):
        (ann,) = await with_accounts(one, platform, "ann", slots=2)
        await until(lambda: ann in two._desk.board.seats)
        kept, own = await take(one), await take(one, ttl=0.3)
        fence = one.fence(kept)
        heir = await take(two, wait=20)
        assert heir.token > own.token
        await asyncio.sleep(2 * SHORT.ttl)
        assert fence.holds
        assert await reason_of(one.renew(own.lease_id, own.token, 5)) == E.ERROR_REASON_LEASE_LOST
        assert {holding.lease.lease_id for holding in (await store.books()).leases} == {
            kept.lease_id,
            heir.lease_id,
        }


async def test_a_turn_is_told_at_the_moment_when_its_lease_is_believed_in_no_longer(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform, SHORT) as (pool, store):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool)
        lost = asyncio.Event()
        pool.fence(lease).watch(lost.set)

        async def refuse(_: object) -> frozenset[object]:
            raise RuntimeError("the ledger is away")

        store.renew = refuse  # type: ignore[method-assign, assignment]
        async with asyncio.timeout(60):
            await lost.wait()
        assert await reason_of(_fence(pool, lease)) == E.ERROR_REASON_LEASE_LOST


async def _fence(pool: Pool, lease: object) -> None:
    pool.fence(lease)  # type: ignore[arg-type]


async def test_a_task_is_stopped_by_one_replica_and_used_by_none_meanwhile(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, _):
        await with_accounts(one, platform, "ann")
        await idle_task(one, "t")
        await until(lambda: "t" in two._desk.board.tasks)
        platform.gate.clear()
        waiting = asyncio.create_task(take(two))
        await until(lambda: one._desk.board.tasks["t"].lease_id)  # type: ignore[index]
        assert await reason_of(take(one, task_id="t")) == E.ERROR_REASON_TASK_BUSY
        platform.gate.set()
        await waiting
        assert platform.stopped == ["t"]


async def test_disabling_an_account_is_obeyed_by_the_other_replica(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, _):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        waiting = asyncio.create_task(_until_refused(two))
        await one.disable_account(ann)
        assert await waiting == E.ERROR_REASON_NO_ACCOUNT


async def _until_refused(pool: Pool) -> ErrorReason:
    async with asyncio.timeout(60):
        while True:
            try:
                await give(pool, await take(pool, mode=SHARED, wait=0))
            except ServiceError as error:
                return error.reason
            await asyncio.sleep(0.01)


async def test_the_higher_priority_is_served_first(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease, served = await take(pool), list[int]()

        async def caller(number: int, priority: int) -> None:
            mine = await take(pool, place=pool.place(priority))
            served.append(number)
            await give(pool, mine)

        callers = []
        for number, priority in enumerate([0, -5, 7, 0, 7]):
            callers.append(asyncio.create_task(caller(number, priority)))
            await until(lambda number=number: len(pool._queue) == number + 1)
        await give(pool, lease)
        await asyncio.gather(*callers)
        assert served == [2, 4, 0, 3, 1]


_HOLDER = """
import asyncio, sys
from pathlib import Path
from howler.task.v1.task_service_pb2 import Task
from server.pool.terms import Terms
from tests.unit.pool.stand_in import Platform, pool_in, take
async def main():
    async with pool_in(Path(sys.argv[1]), Platform(), Terms(ttl=600.0)) as (pool, _):
        lease = await take(pool)
        await pool.record_task(Task(task_id="left"), lease)
        print("held", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path) -> None:
    """Its lease has ten minutes left, but its lock is gone. Its task is stopped: its agent may be at work."""
    platform = Platform()
    async with pool_in(tmp_path, platform, Terms(ttl=600.0)) as (pool, _):
        await with_accounts(pool, platform, "ann")
        holder = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _HOLDER,
            str(tmp_path),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        await until(lambda: pool._accounts()[0].slots_used == 1)
        holder.send_signal(signal.SIGKILL)
        await holder.wait()
        holder._transport.close()  # type: ignore[attr-defined]
    async with pool_in(tmp_path, platform, Terms(ttl=600.0)) as (pool, _):
        assert (await take(pool, wait=20)).token > 1
        assert platform.stopped == ["left"]


async def test_what_was_left_on_a_disabled_account_is_stopped(tmp_path: Path) -> None:
    """Its agent may be at work still, and the platform lets us: no turn begins there meanwhile."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=2)
        await idle_task(pool, "idle")
        lease = await take(pool)
        await pool.record_task(Task(task_id="left"), lease)
        await pool.disable_account(ann)
        await pool.give_up(lease)
        await until(lambda: platform.stopped == ["left"])
        await until(lambda: pool._accounts()[0].slots_used == 1)
        assert await reason_of(take(pool, task_id="idle")) == E.ERROR_REASON_NO_ACCOUNT


async def test_a_reclaim_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database may be away at the very moment when a dead replica's slot is to be had."""
    platform = Platform()
    async with (
        pool_in(tmp_path, platform, SHORT) as (one, _),
        pool_in(tmp_path, platform, SHORT) as (two, store),
    ):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        lease = await take(one)
        await until(lambda: lease.lease_id in two._desk.board.leases)
        reclaim, tries = store.reclaim, list[None]()

        async def away_at_first() -> frozenset[AccountId]:
            tries.append(None)
            if len(tries) == 1:
                raise StoreError("away")
            return await reclaim()

        monkeypatch.setattr(store, "reclaim", away_at_first)
        await one._desk.chores.close()  # it stands still
        one._desk.alarm.off()
        assert (await take(two, wait=8)).token > lease.token


async def test_a_task_that_another_replica_had_for_a_moment_makes_room_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is idle again by the time that the books are read: no reason to let callers wait for a minute."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann")
        await idle_task(pool, "t")
        grant_tasks, tries = store.grant_tasks, list[list[TaskId]]()

        async def taken_at_first(
            leases: Mapping[TaskId, Lease], ttl: float, now_us: int
        ) -> Mapping[TaskId, int]:
            tries.append(list(leases))
            return await grant_tasks(leases, ttl, now_us) if len(tries) > 1 else {}

        monkeypatch.setattr(store, "grant_tasks", taken_at_first)
        assert (await take(pool, wait=20)).token
        assert (platform.stopped, tries) == (["t"], [["t"], ["t"]])
