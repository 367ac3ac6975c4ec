"""P12 and the treatment of failures: sessions expire and come back, cooldowns end, nobody is stuck."""

import asyncio
import logging
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError
from server.pool import logins
from server.pool.account import AccountId, Credentials
from server.pool.pool import Pool
from tests.unit.pool.stand_in import (
    EXCLUSIVE,
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
S = AccountState
EXPIRED = ServiceError(E.ERROR_REASON_SESSION_EXPIRED, "401")


async def by_password(pool: Pool, platform: Platform, name: str = "ann") -> AccountId:
    """Import an account that can log in again."""
    platform.passwords[f"{name}@example.com"] = "secret"
    account, created = await pool.import_account(Credentials(email=f"{name}@example.com", password="secret"))
    assert created
    platform.logins.clear()
    return AccountId(account.account_id)


async def test_two_hundred_reports_of_one_expiry_make_one_login(tmp_path: Path) -> None:
    """T-B10."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform)
        old = pool.session(ann)
        platform.gate.clear()
        reports = [asyncio.create_task(pool.report(ann, EXPIRED)) for _ in range(100)]
        await asyncio.gather(*reports)
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert await reason_of(_session(pool, ann)) == E.ERROR_REASON_SESSION_EXPIRED
        waiting = asyncio.create_task(take(pool))
        await until(lambda: len(pool._queue) == 1)
        platform.gate.set()
        await waiting
        await asyncio.gather(*(pool.report(ann, EXPIRED, session=old) for _ in range(100)))
        await asyncio.gather(*(pool.report(ann, EXPIRED) for _ in range(100)))
        assert platform.logins["ann@example.com"] == 1
        assert pool.session(ann).cookie != old.cookie
        assert (await pool.accounts())[0].state == S.ACCOUNT_STATE_ACTIVE


async def _session(pool: Pool, account_id: AccountId) -> str:
    return pool.session(account_id).cookie


async def test_an_expired_cookie_without_a_password_takes_the_account_out(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann")
        waiting = [await take(pool)]
        waiter = asyncio.create_task(take(pool, wait=30))
        await until(lambda: len(pool._queue) == 1)
        await pool.report(ann, EXPIRED)
        assert await reason_of(waiter) == E.ERROR_REASON_NO_ACCOUNT
        (account,) = await pool.accounts()
        assert (account.state, account.state_reason) == (S.ACCOUNT_STATE_EXPIRED, "SESSION_EXPIRED")
        await give(pool, waiting[0])
        renewed, created = await pool.import_account(Credentials(cookie=platform.user("ann")))
        assert not created
        assert renewed.account_id == ann
        assert (await take(pool, wait=0)).account_id == ann


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (E.ERROR_REASON_ACCOUNT_BLOCKED, S.ACCOUNT_STATE_INVALID),
        (E.ERROR_REASON_TEAM_SESSION, S.ACCOUNT_STATE_INVALID),
        (E.ERROR_REASON_CAPTCHA_REQUIRED, S.ACCOUNT_STATE_EXPIRED),
    ],
)
async def test_a_refused_account_is_not_granted(
    tmp_path: Path, reason: ErrorReason, state: AccountState
) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform)
        await pool.report(ann, ServiceError(reason, "no"))
        assert (await pool.accounts())[0].state == state
        if state == S.ACCOUNT_STATE_INVALID:
            await pool.report(ann, EXPIRED)  # late, and no reason to log in again
            assert (await pool.accounts())[0].state == state
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_NO_ACCOUNT
        assert not platform.logins


async def test_three_refused_logins_in_a_row_invalidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "LOGIN_CLAIM", 0.0)  # or the second would wait for the first one's
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform)
        platform.passwords.clear()
        for count in (1, 2, 3):
            assert (await pool.accounts())[0].state != S.ACCOUNT_STATE_INVALID
            pool._desk.board.seats[ann].login_after = 0.0  # the pause is over
            await pool.report(ann, EXPIRED)
            await until(lambda: not pool._health.logins._logins)
            assert pool._desk.board.seats[ann].member.failed_logins == count
        (account,) = await pool.accounts()
        assert (account.state, account.state_reason) == (S.ACCOUNT_STATE_INVALID, "LOGIN_FAILED")


async def test_a_refused_login_makes_no_herd(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform)
        platform.login_error = ServiceError(E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
        await pool.report(ann, EXPIRED)
        with pytest.raises(ServiceError) as caught:
            await take(pool, wait=2)
        assert caught.value.reason == E.ERROR_REASON_POOL_EXHAUSTED
        assert caught.value.retry_after is not None
        await asyncio.gather(*(take(pool, wait=2) for _ in range(20)), return_exceptions=True)
        assert platform.logins["ann@example.com"] == 1
        assert (await pool.accounts())[0].state == S.ACCOUNT_STATE_EXPIRED


async def test_cooldowns_by_scope(tmp_path: Path) -> None:
    """T-B8: each class cools what it covers, for as long as the platform asks, and wakes who waits."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob = await with_accounts(pool, platform, "ann", "bob")
        quota = ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty", retry_after=0.1)
        await pool.report(ann, quota)
        (cooling,) = (await pool.accounts())[0].cooldowns
        assert (cooling.reason, cooling.scope) == (
            "QUOTA_EXHAUSTED",
            CooldownScope.COOLDOWN_SCOPE_ACCOUNT,
        )
        assert (await pool.status()).cooling == 1
        first = await take(pool)
        assert first.account_id == bob
        second = await take(pool)  # woken by the cooldown's end
        assert second.account_id == ann
        assert (await pool.status()).cooling == 0
        await until(lambda: not pool._accounts()[0].cooldowns)  # the alarm may ring a moment later


async def test_when_all_cool_for_longer_the_answer_comes_at_once(tmp_path: Path) -> None:
    """T-C6."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob = await with_accounts(pool, platform, "ann", "bob")
        waiting = asyncio.create_task(take(pool, wait=5, account_id=ann))
        await give(pool, await waiting)
        await pool.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        await pool.report(bob, ServiceError(E.ERROR_REASON_RATE_LIMITED, "slow down", retry_after=30.0))
        with pytest.raises(ServiceError) as caught:
            await take(pool, wait=20)
        assert caught.value.reason == E.ERROR_REASON_POOL_EXHAUSTED
        assert caught.value.retry_after is not None
        assert 20 < caught.value.retry_after <= 30
        assert (await take(pool, mode=SHARED)).account_id  # calls are not forbidden


async def test_a_model_cools_alone(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann")
        await pool.report(ann, ServiceError(E.ERROR_REASON_MODEL_ACCESS_DENIED, "no"), "model-1")
        assert (await pool.status()).cooling == 0
        refused = take(pool, upstream_model_id="model-1")
        assert await reason_of(refused) == E.ERROR_REASON_POOL_EXHAUSTED
        assert (await take(pool, wait=0, upstream_model_id="model-2")).account_id == ann


async def test_a_lack_of_hosts_cools_the_whole_pool_for_a_moment(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, _ = await with_accounts(pool, platform, "ann", "bob")
        await pool.report(ann, ServiceError(E.ERROR_REASON_HOST_UNAVAILABLE, "none", retry_after=0.1))
        assert (await pool.status()).cooling == 2
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert (await take(pool, wait=5)).token


async def test_cooldowns_outlive_a_restart(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann")
        await pool.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
    async with pool_in(tmp_path, platform) as (pool, _):
        assert (await pool.status()).cooling == 1
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_POOL_EXHAUSTED


async def test_registered_accounts_are_checked_in_the_background(tmp_path: Path) -> None:
    platform = Platform()
    platform.passwords["bob@example.com"] = "secret"
    async with pool_in(tmp_path, platform) as (pool, _):
        await pool.register(
            [
                Credentials(cookie=f"monkeycode_ai_session={platform.user('ann')}"),
                Credentials(email="bob@example.com", password="secret", cookie="stale"),
                Credentials(cookie="dead"),
            ]
        )
        assert len(await pool.usable()) >= 1
        wanted = [S.ACCOUNT_STATE_ACTIVE, S.ACCOUNT_STATE_ACTIVE, S.ACCOUNT_STATE_EXPIRED]
        await until(lambda: [account.state for account in pool._accounts()] == wanted)
        names = [account.user_id for account in await pool.accounts()]
        assert names == ["user-ann", "user-bob", ""]


async def test_registering_again_keeps_what_a_login_made(tmp_path: Path) -> None:
    """The accounts file still holds the old cookie; the one from our login is the better one."""
    platform = Platform()
    platform.passwords["bob@example.com"] = "secret"
    given = [Credentials(email="bob@example.com", password="secret", cookie="stale", slots=2)]
    for _ in range(2):
        async with pool_in(tmp_path, platform) as (pool, _):
            await pool.register(given)
            await until(lambda pool=pool: pool._accounts()[0].state == S.ACCOUNT_STATE_ACTIVE)
            (account,) = await pool.accounts()
            assert (account.slots, account.has_password, account.email) == (2, True, "b•••@example.com")
    assert platform.logins["bob@example.com"] == 1


async def test_one_user_given_twice_counts_once(tmp_path: Path) -> None:
    platform = Platform()
    cookie = platform.user("ann")
    platform.sessions["another"] = platform.sessions[cookie]
    async with pool_in(tmp_path, platform) as (pool, _):
        await pool.register([Credentials(cookie=cookie)])
        await until(lambda: pool._accounts()[0].user_id == "user-ann")
        await pool.register([Credentials(cookie="another")])
        await until(lambda: pool._accounts()[-1].state_reason == "ALREADY_EXISTS")
        elder = AccountId(pool._accounts()[0].account_id)
        await until(lambda: pool.session(elder).cookie == "another")
        assert (await pool.status()).slots == 1
    async with pool_in(tmp_path, platform) as (pool, _):
        assert len(await pool.accounts()) == 1


async def test_removing_stops_the_tasks_first(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=2)
        await idle_task(pool, "t")
        lease = await take(pool)
        await pool.remove_account(ann)
        assert platform.stopped == ["t"]
        assert await pool.accounts() == []
        assert await reason_of(pool.renew(lease.lease_id, lease.token)) == E.ERROR_REASON_LEASE_LOST
        await give(pool, lease)
        assert await reason_of(pool.remove_account(ann)) == E.ERROR_REASON_ACCOUNT_NOT_FOUND
        assert await reason_of(_session(pool, ann)) == E.ERROR_REASON_ACCOUNT_NOT_FOUND
        assert await reason_of(take(pool, task_id="t")) == E.ERROR_REASON_TASK_ENDED
        assert not pool._desk._editing, "nothing is kept of an account that is gone"


async def test_no_secret_in_a_log_or_a_repr(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-J2, for the pool."""
    monkeypatch.setattr(logins, "LOGIN_CLAIM", 0.0)
    caplog.set_level(logging.DEBUG)
    platform = Platform()
    platform.passwords["ann@example.com"] = "canary-password"
    given = Credentials("ann@example.com", "canary-password", "canary-cookie")
    async with pool_in(tmp_path, platform) as (pool, _):
        await pool.register([given])
        await until(lambda: pool._accounts()[0].state == S.ACCOUNT_STATE_ACTIVE)
        ann = AccountId(pool._accounts()[0].account_id)
        pool._desk.board.seats[ann].login_after = 0.0
        platform.login_error = ServiceError(E.ERROR_REASON_ACCOUNT_BLOCKED, "blocked")
        session = pool.session(ann)
        await pool.report(ann, EXPIRED)
        await until(lambda: pool._accounts()[0].state == S.ACCOUNT_STATE_INVALID)
        told = "\n".join(
            [
                caplog.text,
                repr(given),
                repr(session),
                repr(pool._desk.board.seats[ann]),
                str(pool._accounts()),
            ]
        )
    assert caplog.records
    for secret in ("canary", session.cookie, "ann@example.com"):
        assert secret not in told


async def test_the_pools_events(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann")
        events = pool.watch()
        first = await anext(events)
        assert (first.event, first.account.account_id) == (1, ann)
        lease = await take(pool, mode=EXCLUSIVE)
        await give(pool, lease)
        await pool.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty", retry_after=0.05))
        await pool.report(ann, EXPIRED)
        seen = [(await anext(events)).event for _ in range(5)]
        assert seen == [5, 6, 7, 3, 8]
        await pool.remove_account(ann)
        assert (await anext(events)).event == 3, "it is disabled first"
        last = await anext(events)
        assert (last.event, last.account.account_id, last.account.name) == (4, ann, "")
        await events.aclose()
        assert len(pool._desk.watchers) == 0


async def test_a_watcher_that_does_not_read_is_ended(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        events = pool.watch()
        await anext(events)
        for _ in range(1002):
            pool._desk.tell(5, AccountId(pool._accounts()[0].account_id))
        assert await reason_of(anext(events)) == E.ERROR_REASON_SLOW_CONSUMER
