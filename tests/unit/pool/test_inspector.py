"""P12: sessions are checked by and by, renewed before their fixed end, and what cannot be is told ahead."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError
from server.pool.account import AccountId
from server.pool.age import DAY_US, SESSION_US
from server.pool.pool import Pool
from server.pool.terms import Terms
from server.store.sqlite import Store
from tests.support.keys import ring
from tests.unit.pool.stand_in import SHARED, Platform, pool_in, take, until, with_accounts
from tests.unit.pool.test_health import EXPIRED, by_password
from tests.unit.pool.test_leases import reason_of

E, S = ErrorReason, AccountState


@asynccontextmanager
async def checking_often(folder: Path, platform: Platform) -> AsyncIterator[Pool]:
    """Open a pool that checks every session ten times a second."""
    terms = Terms(session_check=0.1)
    async with (
        Store(f"sqlite:///{folder}/howler.db", ring()) as store,
        Pool(store, platform, evict=platform.stop, terms=terms) as pool,
    ):
        yield pool


async def ends_in(pool: Pool, account_id: AccountId, days: float) -> None:
    """Let a session have begun so long ago that it ends in so many days."""
    begun = pool._desk.now_us() - SESSION_US + int(days * DAY_US)
    assert await pool._desk.edit(account_id, lambda member: replace(member, session_us=begun))


async def test_a_session_that_ended_unnoticed_is_found_and_renewed(tmp_path: Path) -> None:
    platform = Platform()
    async with checking_often(tmp_path, platform) as pool:
        ann = await by_password(pool, platform, "ann")
        (bob,) = await with_accounts(pool, platform, "bob")
        old = pool.session(ann).cookie
        del platform.sessions[old]
        platform.user("somebody")  # or the stand-in would name the new session as the old one
        await until(lambda: pool._accounts()[0].state == S.ACCOUNT_STATE_ACTIVE and platform.logins)
        assert pool.session(ann).cookie != old
        assert platform.logins == {"ann@example.com": 1}
        del platform.sessions[pool.session(bob).cookie]
        await until(lambda: pool._accounts()[1].state == S.ACCOUNT_STATE_EXPIRED)


async def test_an_expired_session_that_works_again_is_taken_back(tmp_path: Path) -> None:
    """The platform may have taken no session for a moment (upstream-protocol §1.3)."""
    platform = Platform()
    async with checking_often(tmp_path, platform) as pool:
        (ann,) = await with_accounts(pool, platform, "ann")
        await pool.report(ann, EXPIRED, session=pool.session(ann))
        await until(lambda: pool._accounts()[0].state == S.ACCOUNT_STATE_ACTIVE)


async def test_a_login_renews_a_session_days_before_its_end(tmp_path: Path) -> None:
    platform = Platform()
    async with checking_often(tmp_path, platform) as pool:
        ann = await by_password(pool, platform)
        pool._desk.board.seats[ann].login_after = 0.0
        await ends_in(pool, ann, days=2.9)
        await until(lambda: platform.logins["ann@example.com"] == 1)
        await until(lambda: not pool._health.logins._logins)
        (account,) = await pool.accounts()
        left = account.session_expire_time.ToMicroseconds() - pool._desk.now_us()
        assert 29.9 * DAY_US < left <= SESSION_US
        assert (account.state, account.session_age_unknown) == (S.ACCOUNT_STATE_ACTIVE, False)


async def test_a_renewal_that_fails_takes_nothing_from_a_session_that_works(tmp_path: Path) -> None:
    platform = Platform()
    async with checking_often(tmp_path, platform) as pool:
        ann = await by_password(pool, platform)
        platform.login_error = ServiceError(E.ERROR_REASON_LOGIN_FAILED, "no")
        pool._desk.board.seats[ann].login_after = 0.0
        await ends_in(pool, ann, days=2.9)
        await until(lambda: platform.logins["ann@example.com"] == 1)
        await until(lambda: not pool._health.logins._logins)
        (account,) = await pool.accounts()
        assert (account.state, account.state_reason) == (S.ACCOUNT_STATE_ACTIVE, "")
        assert (await take(pool, wait=0)).account_id == ann


async def test_the_end_of_a_session_that_no_login_renews_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform()
    async with checking_often(tmp_path, platform) as pool:
        (ann,) = await with_accounts(pool, platform, "ann")
        assert (await pool.accounts())[0].session_age_unknown
        events = pool.watch()
        await anext(events)
        caplog.set_level(logging.WARNING)
        await ends_in(pool, ann, days=4.9)
        async with asyncio.timeout(60):
            while (await anext(events)).event != PoolEvent.POOL_EVENT_SESSION_ENDING:
                pass
        await asyncio.sleep(0.3)  # some checks later
        told = [record.message for record in caplog.records if "its session ends in" in record.message]
        assert len(told) == 1
        assert "at the latest" in told[0]
        status = await pool.status()
        (alert,) = status.alerts
        assert (alert.code, alert.account_id) == ("SESSION_ENDING", ann)
        assert status.sessions_ending == 1


async def test_another_replica_logs_in_and_this_one_waits_for_it(tmp_path: Path) -> None:
    """One login per account, over all replicas."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (first, _), pool_in(tmp_path, platform) as (second, _):
        ann = await by_password(first, platform)
        await until(lambda: second._accounts() and second._accounts()[0].state == S.ACCOUNT_STATE_ACTIVE)
        old = first.session(ann)
        for pool in (first, second):
            pool._desk.board.seats[ann].login_after = 0.0
        del platform.sessions[old.cookie]
        platform.user("somebody")  # or the stand-in would name the new session as the old one
        platform.gate.clear()
        for pool in (first, second):
            await pool.report(ann, EXPIRED, session=old)
        waiting = [asyncio.create_task(take(pool, mode=SHARED)) for pool in (first, second)]
        await until(lambda: platform.logins["ann@example.com"] == 1)
        platform.gate.set()
        for caller in waiting:
            assert (await caller).account_id == ann
        assert first.session(ann) == second.session(ann) != old
        assert platform.logins["ann@example.com"] == 1


async def test_what_an_operator_does_is_obeyed_by_the_other_replica(tmp_path: Path) -> None:
    """T-B9."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (first, _), pool_in(tmp_path, platform) as (second, _):
        (ann,) = await with_accounts(first, platform, "ann")
        await until(second._accounts)
        await first.disable_account(ann)
        await until(lambda: not second._accounts()[0].enabled)
        assert await reason_of(take(second, wait=1)) == E.ERROR_REASON_NO_ACCOUNT
        await second.enable_account(ann)
        await until(lambda: first._accounts()[0].enabled)
        await second.report(ann, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        await until(lambda: first._accounts()[0].cooldowns)
        await first.reset_cooldown(ann)
        await until(lambda: not second._accounts()[0].cooldowns)
        assert (await take(second, wait=0)).account_id == ann
