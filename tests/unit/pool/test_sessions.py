"""P12: sessions that all end at once, or soon; accounts switched off and on, checked, imported in lists."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.alert_pb2 import AlertLevel
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError
from server.pool import age, health
from server.pool.account import AccountId, Credentials
from server.pool.accounts_file import parse_accounts
from tests.unit.pool.stand_in import SHARED, Platform, give, pool_in, take, until, with_accounts
from tests.unit.pool.test_health import EXPIRED, by_password
from tests.unit.pool.test_leases import reason_of

E, S = ErrorReason, AccountState


async def test_a_401_on_every_account_at_once_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accounts keep their sessions and come back without a login or an operator."""
    monkeypatch.setattr(health, "_PAUSES", (0.05, 0.1))
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob, _ = await with_accounts(pool, platform, "ann", "bob", "cat")
        platform.whoami_error = EXPIRED
        await pool.report(ann, EXPIRED, session=pool.session(ann))
        assert (await pool.accounts())[0].state == S.ACCOUNT_STATE_EXPIRED, "one alone is taken for expired"
        await pool.report(bob, EXPIRED, session=pool.session(bob))
        active = [S.ACCOUNT_STATE_ACTIVE] * 3
        await until(lambda: [one.state for one in pool._accounts()] == active)
        alert = (await pool.status()).alerts[0]
        assert (alert.level, alert.code) == (AlertLevel.ALERT_LEVEL_CRITICAL, "UPSTREAM_OUTAGE")
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        platform.whoami_error = None
        await give(pool, await take(pool, wait=20))
        assert [one.state for one in await pool.accounts()] == active
        assert [alert.code for alert in (await pool.status()).alerts] == []
        assert not platform.logins


async def test_a_login_proves_that_the_sessions_really_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each account that has a password is logged in once; the others are demoted after all."""
    monkeypatch.setattr(health, "_PAUSES", (0.05, 0.1))
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform, "ann")
        (bob,) = await with_accounts(pool, platform, "bob")
        platform.sessions.clear()
        await pool.report(bob, EXPIRED, session=pool.session(bob))
        await pool.report(ann, EXPIRED, session=pool.session(ann))
        wanted = [S.ACCOUNT_STATE_ACTIVE, S.ACCOUNT_STATE_EXPIRED]
        await until(lambda: [one.state for one in pool._accounts()] == wanted)
        assert platform.logins == {"ann@example.com": 1}
        assert (await take(pool, wait=5)).account_id == ann


async def test_logins_that_fail_as_well_are_an_outage_and_no_storm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10606 also hides a broken database (upstream-protocol §1.4): nobody loses an account by it."""
    monkeypatch.setattr(health, "_PAUSES", (0.05, 0.1))
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = [await by_password(pool, platform, name) for name in ("ann", "bob", "cat")]
        platform.whoami_error = EXPIRED
        platform.login_error = ServiceError(E.ERROR_REASON_LOGIN_FAILED, "no")
        for seat in pool._desk.board.seats.values():
            seat.login_after = 0.0
        for account in accounts[:2]:
            await pool.report(account, EXPIRED, session=pool.session(account))
        await until(pool._health._held)
        await until(lambda: [one.state for one in pool._accounts()] == [S.ACCOUNT_STATE_ACTIVE] * 3)
        assert max(platform.logins.values()) == 1
        platform.whoami_error = platform.login_error = None
        await give(pool, await take(pool, wait=20))
        assert max(platform.logins.values()) == 1


async def test_accounts_that_never_worked_are_no_outage(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await pool.register([Credentials(cookie="dead"), Credentials(cookie="dead-too")])
        expired = [S.ACCOUNT_STATE_EXPIRED] * 2
        await until(lambda: [one.state for one in pool._accounts()] == expired)
        assert [alert.code for alert in (await pool.status()).alerts] == ["USABLE_ACCOUNTS_LOW"]


async def test_a_blocked_account_stays_out_until_an_operator_acts(tmp_path: Path) -> None:
    """Its session lives on at the platform (upstream-protocol §2.1), which is no reason to use it."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        await pool.report(ann, ServiceError(E.ERROR_REASON_ACCOUNT_BLOCKED, "blocked"))
    async with pool_in(tmp_path, platform) as (pool, _):
        assert (await pool.accounts())[0].state == S.ACCOUNT_STATE_INVALID
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_NO_ACCOUNT
        assert (await pool.check_account(ann)).state == S.ACCOUNT_STATE_ACTIVE
        assert (await take(pool, wait=0)).account_id == ann


async def test_a_disabled_account_is_granted_nothing_and_keeps_what_runs(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann", slots=3)
        lease = await take(pool)
        assert not (await pool.disable_account(ann)).enabled
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_NO_ACCOUNT
        await pool.renew(lease.lease_id, lease.token)
        assert (await pool.status()).disabled == 1
    async with pool_in(tmp_path, platform) as (pool, _):
        assert await reason_of(take(pool, wait=1)) == E.ERROR_REASON_NO_ACCOUNT
        assert (await pool.enable_account(ann)).enabled
        assert (await take(pool, wait=0)).account_id == ann
        for call in (pool.enable_account, pool.disable_account, pool.check_account):
            assert await reason_of(call(AccountId("nobody"))) == E.ERROR_REASON_ACCOUNT_NOT_FOUND


async def test_a_check_logs_in_where_the_session_is_over(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann = await by_password(pool, platform)
        platform.sessions.clear()
        account = await pool.check_account(ann)
        assert (account.state, account.session_age_unknown) == (S.ACCOUNT_STATE_ACTIVE, False)
        assert platform.logins["ann@example.com"] == 1


async def test_a_list_is_imported_entry_by_entry(tmp_path: Path) -> None:
    """P12: the TypeScript proxy's list."""
    platform = Platform()
    platform.passwords["bob@example.com"] = "secret"
    bob, team = {"email": "bob@example.com"}, {"email": "t@example.com", "password": "p", "mode": "team"}
    listed = [
        {"cookie": platform.user("ann"), "slots": 2},
        team,
        {**bob, "password": "wrong"},
        {"cookie": "dead"},
        {"cookie": "cookie-ann"},
        7,
    ]
    entries = parse_accounts(json.dumps(listed))
    entries.insert(3, Credentials("bob@example.com", "secret"))
    async with pool_in(tmp_path, platform) as (pool, _):
        results = await pool.import_accounts(entries)
        told = [
            ErrorReason.Name(one.reason) if isinstance(one, ServiceError) else (one[0].user_id, one[1])
            for one in results
        ]
        assert told == [
            ("user-ann", True),
            "ERROR_REASON_TEAM_SESSION",
            "ERROR_REASON_LOGIN_FAILED",
            ("user-bob", True),
            "ERROR_REASON_SESSION_EXPIRED",
            ("user-ann", False),
            "ERROR_REASON_INVALID_REQUEST",
        ]


@pytest.mark.parametrize(
    ("usable", "of", "level"),
    [(3, 3, None), (7, 10, None), (2, 3, 1), (1, 2, 1), (1, 3, 2), (0, 1, 2)],
)
async def test_too_few_usable_accounts_are_told(
    tmp_path: Path, usable: int, of: int, level: int | None
) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = await with_accounts(pool, platform, *(f"user{number}" for number in range(of)))
        (disabled,) = await with_accounts(pool, platform, "not-counted")
        await pool.disable_account(disabled)
        for account in accounts[usable:]:
            await pool.report(account, ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        status = await pool.status()
        assert [(one.level, one.code) for one in status.alerts] == (
            [] if level is None else [(level, "USABLE_ACCOUNTS_LOW")]
        )
        assert (status.usable, status.cooling) == (usable, of - usable)


async def test_the_share_of_slots_in_use(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        assert (await pool.status()).utilization == 0
        await with_accounts(pool, platform, "ann", "bob", slots=2)
        for _ in range(3):
            await take(pool)
        assert (await pool.status()).utilization == 0.75


async def test_calls_go_to_the_account_that_works_and_was_used_longest_ago(tmp_path: Path) -> None:
    """P9: SHARED; ties in turn."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = await with_accounts(pool, platform, "ann", "bob", "cat")
        platform.whoami_error = ServiceError(E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "away")
        await pool.register([Credentials(cookie="not-tried-yet")])
        assert len(await pool.usable()) == 4
        granted = [(await take(pool, mode=SHARED)).account_id for _ in range(6)]
        assert granted == accounts * 2
        await pool.report(accounts[0], ServiceError(E.ERROR_REASON_QUOTA_EXHAUSTED, "empty"))
        granted = [(await take(pool, mode=SHARED)).account_id for _ in range(4)]
        assert granted == accounts[1:] * 2


async def test_sessions_that_reach_their_fixed_end_together_are_no_outage(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = await with_accounts(pool, platform, "ann", "bob")
        platform.sessions.clear()
        for account in accounts:
            begun = pool._desk.now_us() - age.SESSION_US
            await pool._desk.edit(account, lambda member, begun=begun: replace(member, session_us=begun))
            await pool.report(account, EXPIRED, session=pool.session(account))
        assert [one.state for one in await pool.accounts()] == [S.ACCOUNT_STATE_EXPIRED] * 2
