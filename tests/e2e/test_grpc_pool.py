"""Turns and the pool: full, cooling and expired accounts, queues, evictions, leases that callers hold.

Against the scripted upstream; each test has a server of its own, for a pool remembers.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import (
    AccountState,
    AcquireRequest,
    GetPoolRequest,
    ImportAccountRequest,
    Lease,
    LeaseMode,
    ListAccountsRequest,
    ReleaseRequest,
    RemoveAccountRequest,
    RenewRequest,
)
from howler.task.v1.start_turn_pb2 import HeldLease, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason
from howler.task.v1.task_service_pb2 import CancelTurnRequest, StopTaskRequest, StreamRequest

from tests.support.howler import Howler, accounts_file, reason_of, text_of
from tests.support.script import ENDED, STARTED, TURN, Drop, Until, frame, says
from tests.support.scripted import COOKIE, OTHER_COOKIE, Refuse, Scripted, Slow

COMPLETED = EndReason.END_REASON_COMPLETED
KEEP, STOP = TaskRetention.TASK_RETENTION_KEEP, TaskRetention.TASK_RETENTION_STOP
UNTIL_CANCELLED = (STARTED, says("Hi"), Until("user-cancel"), ENDED)
ONE, OTHER = {"cookie": COOKIE, "slots": 1}, {"cookie": OTHER_COOKIE, "slots": 1}

Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a starter of an upstream and a server with these accounts and settings."""

    @asynccontextmanager
    async def started(*accounts: dict[str, object], **env: str) -> AsyncIterator[tuple[Scripted, Howler]]:
        async with Scripted() as upstream:
            upstream.attach = upstream.new = [TURN]
            settings = {"HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, list(accounts)), **env}
            async with Howler(tmp_path, upstream=upstream.url, facade=False, env=settings) as howler:
                yield upstream, howler

    return started


async def accounts_of(howler: Howler) -> list[Any]:
    return list((await howler.pool.ListAccounts(ListAccountsRequest())).accounts)


async def accepted(howler: Howler, prompt: str, **fields: Any) -> tuple[Any, str, str]:
    """Start a turn and return its call, its turn id and its task id."""
    call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt=prompt, **fields)))
    told = (await call.read()).events[0].accepted
    return call, told.turn_id, told.task_id


async def queued(howler: Howler, count: int) -> None:
    """Wait until so many callers wait for a slot."""
    async with asyncio.timeout(60):
        while (await howler.pool.GetPool(GetPoolRequest())).waiting != count:
            await asyncio.sleep(0.02)


async def refused(turn: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await turn
    return raised.value


def retry_delay(error: grpc.aio.AioRpcError) -> float:
    """Return the seconds of the RetryInfo, failing where there is none."""
    status = rpc_status.from_call(error)
    assert status is not None
    info = RetryInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)


async def test_an_account_at_the_platforms_limit_closes_a_slot_and_another_serves(start: Start) -> None:
    """P7.3: 10811."""
    async with start(ONE, OTHER) as (upstream, howler):
        upstream.creates = [Refuse(10811)]
        events = await howler.turn("hi", retention=STOP)
        assert events[-1].ended.reason == COMPLETED
        first, second = upstream.asked("POST", "tasks")
        assert first.cookie != second.cookie
        accounts = await accounts_of(howler)
        assert sorted(account.slots_closed for account in accounts) == [0, 1]
        assert not any(account.cooldowns for account in accounts)
        await howler.turn("again")
        assert upstream.asked("POST", "tasks")[-1].cookie == second.cookie


async def test_an_account_at_the_platforms_limit_stops_an_idle_task_and_closes_no_slot(start: Start) -> None:
    """Issue 4: 10811 means that an idle task of Howler's goes first; else a slot closes."""
    async with start({**ONE, "slots": 3}, HOWLER_FREE_SLOTS="0") as (upstream, howler):
        kept = (await howler.turn("kept", retention=KEEP))[0].accepted.task_id
        upstream.creates = [Refuse(10811)]
        assert (await howler.turn("newcomer", retention=KEEP))[-1].ended.reason == COMPLETED
        assert upstream.tasks[kept].status == "finished"
        assert len(upstream.asked("POST", "tasks")) == 3, "none was tried before the room was made"
        (account,) = await accounts_of(howler)
        assert (account.slots_used, account.slots_closed) == (1, 0)


async def test_a_turn_that_follows_the_exchange_of_the_only_account_runs(start: Start) -> None:
    """What models there are is asked of the new account before anybody is told that none has them."""
    async with start(ONE) as (upstream, howler):
        await howler.turn("before", retention=STOP)
        (account,) = await accounts_of(howler)
        await howler.pool.RemoveAccount(RemoveAccountRequest(account_id=account.account_id))
        assert reason_of(await refused(howler.turn("between"))) == "NO_ACCOUNT"
        await howler.pool.ImportAccount(ImportAccountRequest(cookie=OTHER_COOKIE))
        assert (await howler.turn("after", retention=STOP))[-1].ended.reason == COMPLETED
        assert upstream.asked("POST", "tasks")[-1].cookie == OTHER_COOKIE


async def test_a_model_that_one_account_may_not_use(start: Start) -> None:
    async with start(ONE, OTHER) as (upstream, howler):
        upstream.creates = [Refuse(10812)]
        assert (await howler.turn("hi"))[-1].ended.reason == COMPLETED
        upstream.creates = [Refuse(10812)]
        assert reason_of(await refused(howler.turn("again", retention=STOP))) in (
            "MODEL_ACCESS_DENIED",
            "POOL_EXHAUSTED",
        )


async def test_an_expired_session_is_renewed_by_a_login(start: Start) -> None:
    """P12"""
    account = {"cookie": COOKIE, "slots": 1, "email": "a@example.org", "password": "pass-word-1"}
    async with start(account) as (upstream, howler):
        upstream.passwords = {"a@example.org": ("pass-word-1", "user-1")}
        await howler.turn("before", retention=STOP)
        del upstream.sessions[COOKIE]
        events = await howler.turn("after", retention=STOP)
        assert events[-1].ended.reason == COMPLETED
        assert len([ask for ask in upstream.requests if ask.path.endswith("password-login")]) == 1
        assert upstream.asked("POST", "tasks")[-1].cookie not in (COOKIE, OTHER_COOKIE)
        assert "pass-word-1" not in howler.server.errors


async def test_a_session_that_expires_while_a_turn_runs(start: Start) -> None:
    """The task is stopped with the session of a new login, so its slot comes free."""
    account = {"cookie": COOKIE, "slots": 1, "email": "a@example.org", "password": "pass-word-1"}
    async with start(account) as (upstream, howler):
        upstream.passwords = {"a@example.org": ("pass-word-1", "user-1")}
        upstream.attach = [UNTIL_CANCELLED, TURN]
        call, _, task_id = await accepted(howler, "expires")
        while not upstream.sockets:
            await asyncio.sleep(0.01)
        del upstream.sessions[COOKIE]
        call.cancel()
        async with asyncio.timeout(60):
            while upstream.tasks[task_id].status != "finished":
                await asyncio.sleep(0.02)
        assert (await howler.turn("next"))[-1].ended.reason == COMPLETED


async def test_a_session_that_expires_while_the_vm_boots(start: Start) -> None:
    """A refused stream is tried again; the question after the VM has the session renewed."""
    account = {"cookie": COOKIE, "slots": 1, "email": "a@example.org", "password": "pass-word-1"}
    async with start(account) as (upstream, howler):
        upstream.passwords = {"a@example.org": ("pass-word-1", "user-1")}
        upstream.boots_to, upstream.attach = "pending", [(Drop(),), TURN]
        running = asyncio.create_task(howler.turn("boots"))
        while not upstream.tasks:
            await asyncio.sleep(0.01)
        del upstream.sessions[COOKIE]
        upstream.boots_to = "processing"
        assert (await running)[-1].ended.reason == COMPLETED


async def test_an_expired_session_without_a_password(start: Start) -> None:
    async with start({**ONE, "slots": 2}, HOWLER_QUEUE_TIMEOUT="0.5") as (upstream, howler):
        await howler.turn("before")
        del upstream.sessions[COOKIE]
        error = await refused(howler.turn("after"))
        assert reason_of(error) in ("SESSION_EXPIRED", "NO_ACCOUNT")
        (account,) = await accounts_of(howler)
        assert account.state == AccountState.ACCOUNT_STATE_EXPIRED


async def test_no_account_at_all(start: Start) -> None:
    async with start() as (_, howler):
        error = await refused(howler.turn("hi"))
        assert (reason_of(error), error.code()) == ("NO_ACCOUNT", grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_a_full_pool_is_told_with_when_to_come_back(start: Start) -> None:
    """Every slot runs a turn: nothing may be stopped for the newcomer."""
    async with start(ONE, OTHER, HOWLER_QUEUE_TIMEOUT="0.4") as (upstream, howler):
        upstream.attach = [UNTIL_CANCELLED]
        running = [await accepted(howler, f"turn {number}") for number in range(2)]
        error = await refused(howler.turn("one too many"))
        assert (reason_of(error), error.code()) == ("POOL_EXHAUSTED", grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert retry_delay(error) > 0
        assert len(upstream.asked("POST", "tasks")) == 2
        for call, turn_id, _ in running:
            await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn_id))
            call.cancel()


async def test_who_waits_is_served_when_a_slot_comes_free(start: Start) -> None:
    async with start(ONE, HOWLER_QUEUE_TIMEOUT="20") as (upstream, howler):
        upstream.attach = [UNTIL_CANCELLED, TURN]
        _, _, task_id = await accepted(howler, "first")
        waiting = asyncio.create_task(howler.turn("second"))
        await queued(howler, 1)
        await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))
        assert text_of(await waiting) == "Hi"


async def test_who_waits_and_leaves_takes_no_slot(start: Start) -> None:
    async with start(ONE, HOWLER_QUEUE_TIMEOUT="20") as (upstream, howler):
        upstream.attach = [UNTIL_CANCELLED, TURN]
        _, _, task_id = await accepted(howler, "first")
        call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="leaves")))
        await queued(howler, 1)
        call.cancel()
        await queued(howler, 0)
        await howler.tasks.StopTask(StopTaskRequest(task_id=task_id))
        assert text_of(await howler.turn("second")) == "Hi"
        assert [create.body["content"] for create in upstream.asked("POST", "tasks")] == ["first", "second"]


async def test_an_idle_task_is_stopped_when_its_slot_is_needed(start: Start) -> None:
    async with start(ONE, OTHER, HOWLER_FREE_SLOTS="0") as (upstream, howler):
        kept = [
            (await howler.turn(f"kept {number}", retention=KEEP))[0].accepted.task_id for number in range(2)
        ]
        await howler.turn("used last", task_id=kept[0])
        events = await howler.turn("newcomer", retention=KEEP)
        assert events[-1].ended.reason == COMPLETED
        assert upstream.tasks[kept[1]].status == "finished", "the one that was idle longest"
        assert upstream.tasks[kept[0]].status == "processing"
        assert reason_of(await refused(howler.turn("back", task_id=kept[1]))) == "TASK_ENDED"


async def test_a_kept_task_outlives_a_restart(start: Start) -> None:
    async with start(ONE) as (upstream, howler):
        task_id = (await howler.turn("kept", retention=KEEP))[0].accepted.task_id
        assert await howler.server.stop() == 0
        await howler.server.start()
        async with asyncio.timeout(60):
            await howler.server._until_ready()
        async with grpc.aio.insecure_channel(howler.server.address) as channel:
            stub = type(howler.tasks)(channel)
            call = stub.Stream(StreamRequest(start=StartTurn(prompt="back", task_id=task_id)))
            events = [event async for response in call for event in response.events]
        assert events[-1].ended.reason == COMPLETED
        assert [socket.mode for socket in upstream.sockets] == ["attach", "new"]


async def lease_of(
    howler: Howler, mode: LeaseMode = LeaseMode.LEASE_MODE_EXCLUSIVE, ttl: float = 30
) -> Lease:
    request = AcquireRequest(mode=mode, holder="test", purpose="e2e", ttl=Duration(nanos=0, seconds=int(ttl)))
    lease: Lease = (await howler.pool.Acquire(request)).lease
    return lease


def held(lease: Lease) -> HeldLease:
    return HeldLease(lease_id=lease.lease_id, token=lease.token)


async def test_a_turn_on_a_lease_that_the_caller_holds(start: Start) -> None:
    """P9"""
    async with start(ONE, OTHER, HOWLER_QUEUE_TIMEOUT="0.3") as (upstream, howler):
        first, second = await lease_of(howler), await lease_of(howler)
        assert reason_of(await refused(howler.turn("no slot is left"))) == "POOL_EXHAUSTED"
        cookies = {}
        for lease in (first, second):
            events = await howler.turn("mine", lease=held(lease), retention=KEEP)
            assert events[-1].ended.reason == COMPLETED
            cookies[lease.account_id] = upstream.asked("POST", "tasks")[-1].cookie
            task_id = events[0].accepted.task_id
            assert text_of(await howler.turn("again", lease=held(lease), task_id=task_id)) == "Hi"
        assert set(cookies.values()) == {COOKIE, OTHER_COOKIE}
        for lease in (first, second):  # still the caller's own
            await howler.pool.Renew(RenewRequest(lease_id=lease.lease_id, token=lease.token))
            await howler.pool.Release(ReleaseRequest(lease_id=lease.lease_id, token=lease.token))
        assert reason_of(await refused(howler.turn("gone", lease=held(first)))) == "LEASE_LOST"


async def test_a_lease_that_cannot_carry_a_turn(start: Start) -> None:
    async with start(ONE) as (_, howler):
        shared = await lease_of(howler, LeaseMode.LEASE_MODE_SHARED)
        assert reason_of(await refused(howler.turn("hi", lease=held(shared)))) == "INVALID_REQUEST"
        wrong = HeldLease(lease_id=shared.lease_id, token=shared.token + 1)
        assert reason_of(await refused(howler.turn("hi", lease=wrong))) in ("LEASE_NOT_FOUND", "LEASE_LOST")


async def test_a_lease_that_lapses_ends_the_turn_without_another_word(start: Start) -> None:
    """P9: another holder may have the account by then, so nothing is sent."""
    async with start(ONE) as (upstream, howler):
        upstream.attach = [UNTIL_CANCELLED]
        lease = await lease_of(howler, ttl=1)
        events = await howler.turn("lapses", lease=held(lease))
        ended = events[-1].ended
        assert (ended.reason, ended.error) == (
            EndReason.END_REASON_FAILED,
            ErrorReason.ERROR_REASON_LEASE_LOST,
        )
        assert "user-cancel" not in upstream.sockets[-1].types()


async def test_a_task_that_cannot_be_recorded_is_stopped_and_its_stream_closed(
    start: Start, tmp_path: Path
) -> None:
    """Its stream is asked for while the store writes; nobody is told a word of it."""
    async with start(ONE) as (upstream, howler):
        upstream.creates = [Slow(0.3)]
        with closing(sqlite3.connect(tmp_path / "howler.db", isolation_level=None)) as other:
            turn = asyncio.create_task(howler.turn("not on the books"))
            async with asyncio.timeout(60):
                while not upstream.asked("POST", "tasks"):
                    await asyncio.sleep(0.01)
                other.execute("BEGIN IMMEDIATE")  # nobody else can write now
                while not [task for task in upstream.tasks.values() if task.status == "finished"]:
                    await asyncio.sleep(0.01)
                other.execute("ROLLBACK")
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await turn
                (socket,) = upstream.sockets
                await socket.closed.wait()
        assert raised.value.code() == grpc.StatusCode.INTERNAL
        assert not socket.heard


async def test_the_dialect_of_an_older_backend_is_learned(start: Start) -> None:
    """P4: `auto` pins the dialect."""
    flat = {"type": "agent_message_chunk", "text": "Hi"}
    raw = json.dumps({"type": "task-running", "kind": "acp_event", "data": json.dumps(flat)})
    async with start(ONE) as (upstream, howler):
        upstream.attach = upstream.new = [('{"type":"task-started"}', raw, '{"type":"task-ended"}')]
        task_id = (await howler.turn("one", retention=KEEP))[0].accepted.task_id
        assert text_of(await howler.turn("two", task_id=task_id)) == "Hi"
        sent = [json.loads(heard) for heard in upstream.sockets[-1].heard]
        assert {"type": "user-input", "data": "two"} in sent


@pytest.mark.parametrize(
    ("dialect", "spelled"),
    [
        ("text", {"type": "user-input", "data": "two"}),
        ("legacy", {"type": "user_input", "data": {"content": "eyJjb250ZW50IjogInR3byJ9"}}),
        (
            "native",
            json.loads(frame("user-input", None))
            | {"data": "eyJjb250ZW50IjoiZEhkdiIsImF0dGFjaG1lbnRzIjpbXX0="},
        ),
    ],
)
async def test_the_dialect_that_is_set(start: Start, dialect: str, spelled: dict[str, Any]) -> None:
    """P4"""
    async with start(ONE, HOWLER_UPSTREAM_DIALECT=dialect) as (upstream, howler):
        task_id = (await howler.turn("one", retention=KEEP))[0].accepted.task_id
        await howler.turn("two", task_id=task_id)
        prompts = [json.loads(heard) for heard in upstream.sockets[-1].heard]
        (prompt,) = [sent for sent in prompts if sent["type"] in ("user-input", "user_input")]
        assert prompt == {key: spelled[key] for key in ("type", "data")}
