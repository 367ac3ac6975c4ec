"""The accounts' life cycle, whole: expiries, outages, logins, PoolService. Against the sandbox."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from howler.pool.v1 import pool_service_pb2 as pb
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason
from howler.task.v1.task_service_pb2 import ListTasksRequest, TaskState

from tests.support.howler import Howler, accounts_file, reason_of
from tests.support.sandbox import Caller, Sandbox, accounts

KEEP, STOP = TaskRetention.TASK_RETENTION_KEEP, TaskRetention.TASK_RETENTION_STOP
ACTIVE = pb.ACCOUNT_STATE_ACTIVE
IDLE, ENDED = TaskState.TASK_STATE_IDLE, TaskState.TASK_STATE_ENDED


def cookie_only(number: int = 0, slots: int = 8) -> dict[str, object]:
    return {"cookie": accounts()[number]["cookie"], "slots": slots}


def with_password(number: int = 0) -> dict[str, object]:
    own = accounts()[number]
    return {name: own[name] for name in ("email", "password", "cookie", "slots")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    """A server with one account."""
    folder = tmp_path_factory.mktemp("accounts")
    env = {"HOWLER_ACCOUNTS_FILE": accounts_file(folder, [cookie_only()])}
    async with Howler(folder, facade=False, env=env) as running:
        yield running


async def test_two_hundred_requests_meet_an_expired_session(tmp_path: Path) -> None:
    """T-B10: one login, and all succeed."""
    env = {
        "HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, [with_password()]),
        "HOWLER_QUEUE_TIMEOUT": "100",
    }
    async with Howler(tmp_path, facade=False, env=env) as howler:
        await howler.turn("before", retention=STOP)
        await howler.sandbox.faults(accounts={"expire": ["*"]})
        turns = (howler.turn(f"turn {number}", retention=STOP) for number in range(200))
        ends = {events[-1].ended.reason for events in await asyncio.gather(*turns)}
        assert ends == {EndReason.END_REASON_COMPLETED}
        state = await howler.sandbox.state()
        assert [one["logins"] for one in state["accounts"] if one["logins"]] == [1]


async def test_all_sessions_end_at_once_and_passwords_renew_them(tmp_path: Path) -> None:
    """P12: no outage, since logins succeed; the turn that meets them all does not fail."""
    env = {
        "HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, [with_password(number) for number in range(8)]),
        "HOWLER_QUEUE_TIMEOUT": "60",
    }
    async with Howler(tmp_path, facade=False, env=env) as howler:
        await howler.turn("before", retention=STOP)
        await howler.sandbox.faults(accounts={"expire": ["*"]})
        turns = (howler.turn(f"turn {number}", retention=STOP) for number in range(20))
        ends = {events[-1].ended.reason for events in await asyncio.gather(*turns)}
        assert ends == {EndReason.END_REASON_COMPLETED}
        state = await howler.sandbox.state()
        assert max(one["logins"] for one in state["accounts"]) == 1


async def test_a_platform_that_takes_no_session_is_an_outage(tmp_path: Path) -> None:
    """No account is lost, no password is tried in vain, and all goes on when it is over."""
    given = [cookie_only(number) for number in range(3)]
    env = {"HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, given), "HOWLER_QUEUE_TIMEOUT": "1"}
    async with Howler(tmp_path, facade=False, env=env) as howler:
        await howler.turn("before", retention=STOP)
        route = {"path": "/api/v1/users/*", "times": 100_000, "do": "unauthorized"}
        await howler.sandbox.faults(routes=[route])
        with pytest.raises(grpc.aio.AioRpcError):
            await howler.turn("in vain")
        codes = await until_alerts(howler, ["UPSTREAM_OUTAGE", "USABLE_ACCOUNTS_LOW"])
        assert codes[0] == "UPSTREAM_OUTAGE"
        await until_active(howler, 3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await howler.turn("cooling")
        assert reason_of(caught.value) == "POOL_EXHAUSTED"
        await howler.sandbox.reset()
        await until_alerts(howler, [])
        events = await howler.turn("after", retention=STOP)
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def until_active(howler: Howler, count: int) -> None:
    """Wait until so many accounts are ACTIVE."""
    async with asyncio.timeout(60):
        while True:
            listed = (await howler.pool.ListAccounts(pb.ListAccountsRequest())).accounts
            if [account.state for account in listed].count(ACTIVE) == count:
                return
            await asyncio.sleep(0.05)


async def until_alerts(howler: Howler, codes: list[str]) -> list[str]:
    """Wait until the pool tells these alerts."""
    async with asyncio.timeout(60):
        while True:
            told_now = [one.code for one in (await howler.pool.GetPool(pb.GetPoolRequest())).alerts]
            if sorted(told_now) == sorted(codes):
                return told_now
            await asyncio.sleep(0.05)


async def test_a_password_that_needs_a_captcha_is_the_operators(tmp_path: Path) -> None:
    """P12: the account waits for a cookie, and the next one serves."""
    given = [with_password(0), cookie_only(1)]
    env = {"HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, given), "HOWLER_QUEUE_TIMEOUT": "5"}
    async with Howler(tmp_path, facade=False, env=env) as howler:
        await howler.turn("before", retention=STOP)
        await howler.sandbox.faults(platform={"captcha": True}, accounts={"expire": [accounts()[0]["email"]]})
        for number in range(2):
            events = await howler.turn(f"turn {number}", retention=STOP)
            assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        (first, second) = (await howler.pool.ListAccounts(pb.ListAccountsRequest())).accounts
        checked = await howler.pool.CheckAccount(pb.CheckAccountRequest(account_id=first.account_id))
        assert (checked.account.state, checked.account.state_reason) == (
            pb.ACCOUNT_STATE_EXPIRED,
            "CAPTCHA_REQUIRED",
        )
        assert second.state == ACTIVE


async def test_accounts_from_the_first_to_the_last_call(tmp_path: Path) -> None:
    """P12: a list of the TypeScript proxy's, told entry by entry; switched off and on; watched; removed."""
    env = {"HOWLER_ACCOUNTS_FILE": "", "HOWLER_QUEUE_TIMEOUT": "0.3"}
    async with Howler(tmp_path, facade=False, env=env) as howler:
        pool = howler.pool
        one, two = accounts()[:2]
        entries = [
            {"email": one["email"], "password": one["password"], "mode": "user", "slots": 2},
            {"email": "admin@sandbox.example", "password": "sandbox-admin", "mode": "team"},
            {"email": two["email"], "password": "wrong"},
            {"cookie": two["cookie"]},
        ]
        results = (await pool.ImportAccounts(pb.ImportAccountsRequest(json=json.dumps(entries)))).results
        assert [(result.refusal, result.created) for result in results] == [
            ("", True),
            ("TEAM_SESSION", False),
            ("LOGIN_FAILED", False),
            ("", True),
        ]
        first, second = results[0].account, results[3].account
        assert (first.session_age_unknown, second.session_age_unknown) == (False, True)
        assert first.session_expire_time.seconds - first.create_time.seconds == 30 * 86400
        watching = pool.Watch(pb.WatchRequest())
        snapshots = [await watching.read() for _ in range(2)]
        for account in (first, second):
            await pool.DisableAccount(pb.DisableAccountRequest(account_id=account.account_id))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await howler.turn("nobody is there")
        assert reason_of(caught.value) == "NO_ACCOUNT"
        await pool.EnableAccount(pb.EnableAccountRequest(account_id=second.account_id))
        events = await howler.turn("back", retention=STOP)
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        changes = [await watching.read() for _ in range(3)]
        assert [(change.event, change.account.enabled) for change in changes] == [
            (PoolEvent.POOL_EVENT_CHANGED, False),
            (PoolEvent.POOL_EVENT_CHANGED, False),
            (PoolEvent.POOL_EVENT_CHANGED, True),
        ]
        resumed = pool.Watch(pb.WatchRequest(after=snapshots[-1].cursor))
        assert [await resumed.read() for _ in range(3)] == changes
        await pool.RemoveAccount(pb.RemoveAccountRequest(account_id=second.account_id))
        (left,) = (await pool.ListAccounts(pb.ListAccountsRequest())).accounts
        assert (left.account_id, left.enabled) == (first.account_id, False)


async def test_what_the_owner_runs_by_hand_is_not_howlers_to_touch(tmp_path: Path) -> None:
    """10811 at the sandbox, which counts them all: a task of Howler's own is stopped, and no other."""
    users = tmp_path / "users.json"
    users.write_text(json.dumps([{**accounts()[0], "slots": 2}]))
    env = {"HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, [cookie_only(slots=2)]), "HOWLER_FREE_SLOTS": "0"}
    async with (
        Sandbox(HOWLER_SANDBOX_ACCOUNTS=str(users)) as sandbox,
        Caller(sandbox.url) as owner,
        Howler(tmp_path, upstream=sandbox.url, facade=False, env=env) as howler,
    ):
        by_hand = await owner.create("mine")
        for number in range(3):
            events = await howler.turn(f"turn {number}", retention=KEEP)
            assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        listed = (await howler.tasks.ListTasks(ListTasksRequest())).tasks
        assert [task.state for task in listed] == [IDLE, ENDED, ENDED]
        assert by_hand not in {task.task_id for task in listed}
        assert (await owner.info(by_hand))["status"] in ("pending", "processing")
        (account,) = (await howler.pool.ListAccounts(pb.ListAccountsRequest())).accounts
        assert (account.slots, account.slots_used, account.slots_closed) == (2, 1, 0)


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        ("ImportAccounts", pb.ImportAccountsRequest(json="{")),
        ("ImportAccounts", pb.ImportAccountsRequest(json="7")),
        ("ImportAccounts", pb.ImportAccountsRequest(json=" " * ((1 << 20) + 1))),
        ("ResetCooldown", pb.ResetCooldownRequest(upstream_model_id="m")),
        ("Acquire", pb.AcquireRequest(priority=101)),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_meant_is_refused(howler: Howler, call: str, request_: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(howler.pool, call)(request_)
    assert reason_of(caught.value) == "INVALID_REQUEST"


@pytest.mark.parametrize("call", ["EnableAccount", "DisableAccount", "CheckAccount", "ResetCooldown"])
@pytest.mark.asyncio(loop_scope="module")
async def test_an_account_that_is_not_there(howler: Howler, call: str) -> None:
    request = getattr(pb, f"{call}Request")(account_id="acc_none")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(howler.pool, call)(request)
    assert reason_of(caught.value) == "ACCOUNT_NOT_FOUND"
