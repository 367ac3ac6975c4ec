"""Cooldowns at work: half-open, renewed ever longer, reset; and the breaker of the platform."""

import asyncio
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool import probes
from server.pool.account import AccountId
from server.pool.breaker import THRESHOLD
from server.pool.pool import Pool
from tests.unit.pool.stand_in import SHARED, Platform, give, pool_in, take, until, with_accounts
from tests.unit.pool.test_leases import reason_of

E = ErrorReason
DOWN = ServiceError(E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "502")


def throttled(seconds: float | None = None) -> ServiceError:
    return ServiceError(E.ERROR_REASON_RATE_LIMITED, "slow down", retry_after=seconds)


async def makes_a_task(pool: Pool, lease: Lease, task_id: str = "t") -> None:
    """Let the platform take the turn of a lease, and end the turn."""
    await pool.record_task(Task(task_id=task_id), lease)
    await give(pool, lease)


async def cooled(pool: Pool, account: AccountId) -> list[str]:
    accounts = {one.account_id: one for one in await pool.accounts()}
    return [cooldown.reason for cooldown in accounts[account].cooldowns]


async def test_one_turn_is_let_through_after_the_end_and_its_success_lets_all(tmp_path: Path) -> None:
    """T-B8: half-open."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=3)
        (ann,) = [AccountId(one.account_id) for one in await pool.accounts()]
        await pool.report(ann, throttled(0.05))
        probe = await take(pool)
        others = [asyncio.create_task(take(pool, wait=20)) for _ in range(2)]
        await until(lambda: len(pool._queue) == 2)
        await makes_a_task(pool, probe)
        assert {(await other).account_id for other in others} == {ann}


async def test_a_probe_that_fails_renews_the_cooldown_and_doubles_it(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await pool.report(ann, throttled(0.05))
        lease = await take(pool)
        await pool.report(ann, throttled())
        with pytest.raises(ServiceError) as caught:
            await take(pool, wait=1)
        assert caught.value.retry_after is not None
        assert 5 < caught.value.retry_after <= 10, "the second in a row"
        await give(pool, lease)


async def test_late_reports_of_one_throttle_do_not_make_it_longer(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await asyncio.gather(*(pool.report(ann, throttled()) for _ in range(5)))
        await pool.report(ann, throttled())
        with pytest.raises(ServiceError) as caught:
            await take(pool, wait=1)
        assert caught.value.retry_after is not None
        assert caught.value.retry_after <= 5


async def test_a_probe_that_tells_nothing_lets_the_next_one_try(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await pool.report(ann, throttled(0.05))
        await give(pool, await take(pool))
        assert (await take(pool, wait=0)).account_id == ann


async def test_a_long_cooldown_is_probed_once_per_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-B8: an early reset is found by one turn; the others are told when to come back."""
    monkeypatch.setattr("server.pool.cooldowns.PROBE_SECONDS", 0.2)
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await pool.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        probe = await take(pool, wait=5)
        ((account,),) = [await pool.accounts()]
        assert [cooldown.probing for cooldown in account.cooldowns] == [True]
        with pytest.raises(ServiceError) as caught:
            await take(pool, wait=5)
        assert caught.value.retry_after is not None
        assert 5 < caught.value.retry_after <= probes.PROBE_SECONDS
        await makes_a_task(pool, probe)
        assert await cooled(pool, ann) == []
        assert (await take(pool, wait=0)).account_id == ann


async def test_a_model_is_probed_by_turns_of_that_model(tmp_path: Path) -> None:
    platform = Platform()
    denied = ServiceError(E.ERROR_REASON_MODEL_ACCESS_DENIED, "no", retry_after=0.05)
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await pool.report(ann, denied, "m")
        await take(pool, upstream_model_id="m")
        await take(pool, wait=0, upstream_model_id="other")
        assert await reason_of(take(pool, wait=0.01, upstream_model_id="m")) == E.ERROR_REASON_POOL_EXHAUSTED


async def test_failures_in_a_row_cool_the_platform_and_one_success_resets(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob = await with_accounts(pool, platform, "ann", "bob", slots=2)
        lease = await take(pool, account_id=ann)
        for account in (ann, bob) * 2:
            await pool.report(account, DOWN)
        assert (await pool.status()).cooling == 0
        await makes_a_task(pool, lease)
        for _ in range(THRESHOLD - 1):
            await pool.report(bob, DOWN)
        assert (await pool.status()).cooling == 0
        lease = await take(pool, account_id=bob)
        await pool.report(bob, DOWN)
        assert (await pool.status()).cooling == 2
        assert await cooled(pool, ann) == ["UPSTREAM_UNAVAILABLE"]
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert (await take(pool, wait=0, mode=SHARED)).account_id
        await makes_a_task(pool, lease, "another")  # it was under way: the platform is well after all
        assert (await pool.status()).cooling == 0


async def test_a_reset_ends_what_it_names(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob = await with_accounts(pool, platform, "ann", "bob", slots=2)
        await pool.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        for model in ("m1", "m2"):
            await pool.report(ann, ServiceError(E.ERROR_REASON_MODEL_ACCESS_DENIED, "no"), model)
        await pool.report(bob, ServiceError(E.ERROR_REASON_HOST_UNAVAILABLE, "none"))
        (ended,) = await pool.reset_cooldown(ann, "m1")
        assert (ended.upstream_model_id, ended.scope) == ("m1", CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL)
        assert await cooled(pool, ann) == ["QUOTA_EXHAUSTED", "MODEL_ACCESS_DENIED", "HOST_UNAVAILABLE"]
        assert [one.reason for one in await pool.reset_cooldown(AccountId(""))] == ["HOST_UNAVAILABLE"]
        waiting = asyncio.create_task(take(pool, account_id=bob))
        assert (await waiting).account_id == bob
        assert len(await pool.reset_cooldown(ann)) == 2
        assert await pool.reset_cooldown(ann) == []
        assert (await take(pool, wait=0, upstream_model_id="m2")).account_id == ann
        assert await reason_of(pool.reset_cooldown(AccountId("nobody"))) == E.ERROR_REASON_ACCOUNT_NOT_FOUND
    async with pool_in(tmp_path, platform) as (pool, _):
        assert (await pool.status()).cooling == 0
