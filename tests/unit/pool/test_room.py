"""10811 (upstream-protocol §1.4): the platform grants an account no more tasks than this."""

import asyncio
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease

from server.errors import ServiceError
from server.pool.account import TaskId
from server.pool.pool import Pool
from server.pool.terms import Terms
from tests.unit.pool.stand_in import Platform, give, idle_task, pool_in, take, until, with_accounts
from tests.unit.pool.test_leases import reason_of
from tests.unit.pool.test_replicas import two_pools

E = ErrorReason
FULL = ServiceError(E.ERROR_REASON_CONCURRENCY_LIMIT, "full")


async def closed(pool: Pool) -> int:
    (account,) = await pool.accounts()
    return account.slots_closed


async def test_where_an_idle_task_is_stopped_no_slot_closes(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        for name in ("old", "new"):
            await idle_task(pool, name)
        await pool.give_back(await take(pool), refusal=FULL)
        again = await take(pool)
        assert (again.account_id, platform.stopped, await closed(pool)) == (ann, ["old"], 0)
        await pool.give_back(again, refusal=FULL)
        again = await take(pool)
        assert (platform.stopped, await closed(pool)) == (["old", "new"], 0)
        await pool.give_back(again, refusal=FULL)
        assert (platform.stopped, await closed(pool)) == (["old", "new"], 1), "none is left to be stopped"


async def test_nobody_meets_the_same_refusal_while_room_is_made(tmp_path: Path) -> None:
    """What is free by our count is not on the platform: who comes waits; the one refused is served first."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=4)
        await idle_task(pool, "t")
        place = pool.place(0)
        refused = await take(pool, place=place)
        platform.gate.clear()
        await pool.give_back(refused, refusal=FULL)
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        served = list[str]()

        async def caller(name: str, **more: object) -> Lease:
            lease = await take(pool, **more)  # type: ignore[arg-type]
            served.append(name)
            return lease

        callers = [asyncio.create_task(caller("next"))]
        await until(lambda: len(pool._queue) == 1)
        callers.append(asyncio.create_task(caller("refused", place=place)))
        await until(lambda: len(pool._queue) == 2)
        platform.gate.set()
        await asyncio.gather(*callers)
        assert (served, platform.stopped, await closed(pool)) == (["refused", "next"], ["t"], 0)


async def test_a_task_that_cannot_be_stopped_makes_no_room(tmp_path: Path) -> None:
    platform = Platform()
    platform.evict_error = ServiceError(E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=2)
        await idle_task(pool, "t")
        await pool.give_back(await take(pool), refusal=FULL)
        again = await take(pool)
        assert await closed(pool) == 0
        await pool.give_back(again, refusal=FULL)
        assert await closed(pool) == 1


async def test_room_that_another_replica_makes_is_waited_for(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms()) as (one, two, _):
        await with_accounts(one, platform, "ann", slots=3)
        await idle_task(one, "t")
        await until(lambda: "t" in two._desk.board.tasks)
        refused = [await take(one), await take(two)]
        platform.gate.clear()
        await one.give_back(refused[0], refusal=FULL)
        await until(lambda: any(held.stops for held in two._desk.board.leases.values()))
        await two.give_back(refused[1], refusal=FULL)
        waiting = asyncio.create_task(take(two, wait=20))
        await until(lambda: len(two._queue) == 1)
        platform.gate.set()
        assert (await waiting).token > refused[1].token
        assert (platform.stopped, await closed(one), await closed(two)) == (["t"], 0, 0)


async def test_a_callers_lease_keeps_its_slot_while_room_is_made(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=2)
        await idle_task(pool, "t")
        lease = await take(pool, ttl=60.0)
        for stopped in (["t"], ["t"]):
            await pool.claim(lease.lease_id, lease.token, TaskId(""), "turn")
            await pool.unclaim(lease.lease_id, "turn", refusal=FULL)
            await until(lambda: not pool._desk.board.tasks)
            assert (platform.stopped, await closed(pool)) == (stopped, 0)
        await give(pool, lease)


async def test_a_slot_that_the_platform_refused_is_closed_and_counted(tmp_path: Path) -> None:
    """No task of ours is idle: the account has fewer slots than we thought."""
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms()) as (one, two, _):
        (ann,) = await with_accounts(one, platform, "ann", slots=2)
        await until(lambda: ann in two._desk.board.seats)
        await one.give_back(await take(one), refusal=FULL)
        (account,) = await one.accounts()
        assert (account.slots, account.slots_used, account.slots_closed) == (2, 0, 1)
        last = await take(one)
        assert await reason_of(take(two, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        await one.give_back(last, refusal=FULL)
        with pytest.raises(ServiceError) as raised:  # nothing but time opens one: no use waiting
            await take(one, wait=30)
        assert raised.value.reason == E.ERROR_REASON_POOL_EXHAUSTED
        assert raised.value.retry_after is not None
        assert 30 < raised.value.retry_after <= 60
