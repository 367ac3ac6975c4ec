"""P9: turns on leases that callers hold, at whichever replica: one at a time, and none past a release."""

import asyncio
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.errors import ServiceError
from server.pool.account import TaskId
from server.pool.pool import Pool
from server.pool.terms import Terms
from tests.unit.pool.stand_in import Platform, give, pool_in, take, until, with_accounts
from tests.unit.pool.test_leases import reason_of
from tests.unit.pool.test_replicas import two_pools

E = ErrorReason


async def claim(pool: Pool, lease: Lease, task_id: str = "", turn_id: str = "turn") -> Lease:
    return await pool.claim(lease.lease_id, lease.token, TaskId(task_id), turn_id)


async def test_a_callers_lease_is_good_at_every_replica(tmp_path: Path) -> None:
    """A caller behind a balancer renews, runs turns and releases wherever it comes out."""
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms()) as (one, two, store):
        await with_accounts(one, platform, "ann", slots=2)
        lease = await take(one, ttl=30.0)
        renewed = await two.renew(lease.lease_id, lease.token, 60)
        assert (renewed.lease_id, renewed.account_id) == (lease.lease_id, lease.account_id)
        assert await reason_of(two.renew(lease.lease_id, lease.token + 1)) == E.ERROR_REASON_LEASE_NOT_FOUND
        claimed = await claim(two, lease)
        assert two.fence(claimed).holds
        await two.record_task(Task(task_id="t"), claimed)
        assert await reason_of(claim(one, lease, "t", "next")) == E.ERROR_REASON_TASK_BUSY
        await two.unclaim(lease.lease_id, "turn")
        again = await claim(one, lease, "t")
        assert one.fence(again).holds
        await until(lambda: two._desk.board.leases[lease.lease_id].foreign)  # type: ignore[index]
        await one.unclaim(lease.lease_id, "turn")
        await give(two, lease)
        await until(lambda: lease.lease_id not in one._desk.board.leases)
        idle = await store.task(TaskId("t"))
        assert idle is not None
        assert idle.state == TaskState.TASK_STATE_IDLE


async def test_a_caller_that_renews_elsewhere_keeps_its_lease_here(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform) as (one, two, store):
        await with_accounts(one, platform, "ann")
        lease = await take(one, ttl=0.4)
        await two.renew(lease.lease_id, lease.token, 60)
        await asyncio.sleep(0.8)  # its end, as far as `one` knew
        assert [holding.lease.lease_id for holding in (await store.books()).leases] == [lease.lease_id]
        assert (await claim(one, lease)).token == lease.token


@pytest.mark.parametrize("renewed", ["before", "after"])
async def test_a_turn_that_lost_its_lease_takes_the_lease_along(tmp_path: Path, renewed: str) -> None:
    """Its agent may be at work still: a renewal that comes late must not give the task to a next turn."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool, ttl=1.6)
        claimed = await claim(pool, lease)
        fence = pool.fence(claimed)
        await pool.record_task(Task(task_id="t"), claimed)
        await until(lambda: fence.fallen)
        if renewed == "before":
            await pool.renew(lease.lease_id, lease.token, 60)
        await pool.unclaim(lease.lease_id, "turn")
        assert await reason_of(pool.renew(lease.lease_id, lease.token, 60)) == E.ERROR_REASON_LEASE_LOST
        assert await reason_of(claim(pool, lease, "t")) == E.ERROR_REASON_LEASE_LOST
        await until(lambda: platform.stopped == ["t"])


async def test_of_two_turns_at_once_one_has_the_lease(tmp_path: Path) -> None:
    """Issue 4: used at two replicas at once it must not hold two tasks, not even for a moment."""
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms()) as (one, two, store):
        await with_accounts(one, platform, "ann", slots=2)
        for number in range(10):
            lease = await take(one, ttl=30.0)
            claims = [
                claim(pool, lease, turn_id=f"{number} {name}") for name, pool in (("a", one), ("b", two))
            ]
            results = await asyncio.gather(*claims, return_exceptions=True)
            (refused,) = [result for result in results if isinstance(result, ServiceError)]
            assert refused.reason == E.ERROR_REASON_TASK_BUSY
            winner = results.index(refused) == 0
            await (one, two)[winner].unclaim(lease.lease_id, f"{number} {'ab'[winner]}")
            await give(one, lease)
            await until(lambda: not one._desk.board.leases and not two._desk.board.leases)
        assert (await store.books()).leases == []


async def test_a_release_elsewhere_frees_the_slot_once_the_turn_has_let_go(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms(reclaim=60.0)) as (one, two, store):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        lease = await take(one, ttl=600.0)
        claimed = await claim(one, lease)
        fence, heard = one.fence(claimed), asyncio.Event()
        fence.watch(heard.set)
        await give(two, lease)
        async with asyncio.timeout(60):
            await heard.wait()
        assert len((await store.books()).leases) == 1, "the turn may have sent its last word just now"
        assert await reason_of(take(two, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        for pool in (one, two):
            assert await reason_of(claim(pool, lease, turn_id="next")) == E.ERROR_REASON_LEASE_LOST
            renewal = pool.renew(lease.lease_id, lease.token, 60)
            assert await reason_of(renewal) == E.ERROR_REASON_LEASE_LOST
        heir = asyncio.create_task(take(two, wait=20))
        await one.unclaim(lease.lease_id, "turn")
        assert (await heir).token > lease.token


async def test_a_turn_that_does_not_let_go_of_a_released_lease_loses_it(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms(reclaim=0.2)) as (one, two, _):
        (ann,) = await with_accounts(one, platform, "ann")
        await until(lambda: ann in two._desk.board.seats)
        for releaser in (one, two):
            lease = await take(one, ttl=600.0)
            fence = one.fence(await claim(one, lease))
            await give(releaser, lease)
            assert (await take(two, wait=20, ttl=0.1)).token > lease.token
            assert fence.fallen


async def test_a_turn_goes_on_while_its_caller_renews_at_another_replica(tmp_path: Path) -> None:
    platform = Platform()
    async with two_pools(tmp_path, platform, Terms()) as (one, two, _):
        await with_accounts(one, platform, "ann")
        lease = await take(one, ttl=1.0)
        fence = one.fence(await claim(one, lease))
        until_first = fence.until
        await two.renew(lease.lease_id, lease.token, 60)
        await until(lambda: fence.until > until_first + 30)
        assert fence.holds


async def test_a_claim_whose_turn_left_is_given_back(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool, ttl=60.0)
        for steps in range(8):  # cancel at every await there is
            turn = asyncio.create_task(claim(pool, lease, turn_id=f"turn {steps}"))
            for _ in range(steps):
                await asyncio.sleep(0)
            turn.cancel()
            (result,) = await asyncio.gather(turn, return_exceptions=True)
            if not isinstance(result, BaseException):
                await pool.unclaim(lease.lease_id, f"turn {steps}")
            await claim(pool, lease, turn_id="next")
            await pool.unclaim(lease.lease_id, "next")


async def test_a_lease_is_for_the_task_made_under_it(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=2)
        lease = await take(pool, ttl=60.0)
        assert await reason_of(claim(pool, lease, "other")) == E.ERROR_REASON_UNSUPPORTED_VALUE
        await pool.record_task(Task(task_id="t"), await claim(pool, lease))
        assert await reason_of(claim(pool, lease, turn_id="next")) == E.ERROR_REASON_TASK_BUSY
        await pool.unclaim(lease.lease_id, "turn")
        assert await reason_of(claim(pool, lease)) == E.ERROR_REASON_UNSUPPORTED_VALUE
        assert (await claim(pool, lease, "t")).lease_id == lease.lease_id
