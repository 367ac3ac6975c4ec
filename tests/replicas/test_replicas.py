"""Two servers, one PostgreSQL, one platform: they share accounts, slots and tasks, and outlive each other."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import (
    AcquireRequest,
    DisableAccountRequest,
    ListAccountsRequest,
    ReleaseRequest,
)
from howler.task.v1.start_turn_pb2 import HeldLease, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent
from howler.task.v1.task_service_pb2 import ListTasksRequest, StreamRequest

from tests.support.howler import Howler, accounts_file, reason_of, text_of
from tests.support.keys import KEYS
from tests.support.postgres import Postgres
from tests.support.sandbox import Sandbox, accounts
from tests.support.watched import Watched

STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
CREATE: Final = "POST /api/v1/users/tasks"
SECONDS: Final = 60.0
HASTY: Final = {
    "HOWLER_LEASE_TTL": "2",
    "HOWLER_LEASE_RENEW": "0.4",
    "HOWLER_LEASE_MARGIN": "0.5",
    "HOWLER_LEASE_RECLAIM": "0.5",
}
"""Time limits of leases, scaled down."""


@dataclass
class Two:
    """Two servers and the sandbox that both talk to."""

    one: Howler
    two: Howler
    sandbox: Sandbox

    @property
    def both(self) -> tuple[Howler, Howler]:
        """Return the servers."""
        return self.one, self.two


@asynccontextmanager
async def two_servers(
    folder: Path, url: str, *, users: int, slots: int, env: dict[str, str] | None = None
) -> AsyncIterator[Two]:
    """Start a sandbox with so many accounts of so many slots, and two servers that have them all."""
    users_file = accounts_file(folder, [{**account, "slots": slots} for account in accounts()[:users]])
    settings = {
        "HOWLER_DATABASE_URL": url,
        "HOWLER_SECRETS_KEY": KEYS[0],
        "HOWLER_ACCOUNTS_FILE": users_file,
        **(env or {}),
    }
    async with Sandbox(HOWLER_SANDBOX_ACCOUNTS=users_file) as sandbox:
        for name in ("one", "two"):
            (folder / name).mkdir()
        one = Howler(folder / "one", upstream=sandbox.url, facade=False, env=settings)
        two = Howler(folder / "two", upstream=sandbox.url, facade=False, env=settings)
        async with one, two:
            yield Two(one, two, sandbox)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(SECONDS):
        while not await holds():
            await asyncio.sleep(0.02)


def emails(state: dict[str, Any]) -> dict[str, int]:
    """Return how many tasks were made on each account."""
    made: dict[str, int] = {}
    for task in state["tasks"]:
        made[task["account"]] = made.get(task["account"], 0) + 1
    return made


def completed(events: list[TaskEvent]) -> bool:
    return events[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def test_never_more_turns_than_slots(tmp_path: Path, postgres_url: str) -> None:
    """The platform refuses a task beyond an account's slots: it had to refuse none."""
    async with two_servers(tmp_path, postgres_url, users=3, slots=2) as running:
        turns = [
            running.both[number % 2].turn(f"/pace 6 {number % 5 * 5}", retention=STOP) for number in range(80)
        ]
        assert all(completed(events) for events in await asyncio.gather(*turns))
        state = await running.sandbox.state()
        assert len(state["tasks"]) == 80
        assert state["requests"][CREATE] == 80, "no create was refused"
        assert len(emails(state)) == 3, "every account had its share"
        for howler in running.both:
            shown = (await howler.pool.ListAccounts(ListAccountsRequest())).accounts
            assert [account.slots for account in shown] == [2, 2, 2]

            async def free(howler: Howler = howler) -> bool:
                shown = (await howler.pool.ListAccounts(ListAccountsRequest())).accounts
                return all(account.slots_used == 0 for account in shown)

            await until(free)


async def test_what_is_disabled_on_one_is_granted_by_neither(tmp_path: Path, postgres_url: str) -> None:
    """T-B9."""
    async with two_servers(tmp_path, postgres_url, users=2, slots=4) as running:
        first = (await running.one.pool.ListAccounts(ListAccountsRequest())).accounts[0]
        await running.one.pool.DisableAccount(DisableAccountRequest(account_id=first.account_id))

        async def obeyed() -> bool:
            shown = (await running.two.pool.ListAccounts(ListAccountsRequest())).accounts
            return [account.enabled for account in shown] == [False, True]

        await until(obeyed)
        made = emails(await running.sandbox.state())
        for howler in running.both:
            for _ in range(4):
                assert completed(await howler.turn("hello", retention=STOP))
        after = emails(await running.sandbox.state())
        assert sum(after.values()) == sum(made.values()) + 8
        assert len(after) == 1, "the other account alone"


async def test_a_task_made_on_one_goes_on_at_the_other(tmp_path: Path, postgres_url: str) -> None:
    async with two_servers(tmp_path, postgres_url, users=2, slots=2) as running:
        made = await running.one.turn("remember 4711", retention=KEEP, principal="ann")
        task_id = made[0].accepted.task_id
        listed = (await running.two.tasks.ListTasks(ListTasksRequest(principal="ann"))).tasks
        assert [task.task_id for task in listed] == [task_id]
        for howler in (running.two, running.one, running.two):
            events = await howler.turn("and now?", task_id=task_id, principal="ann", retention=KEEP)
            assert completed(events)
            assert events[0].accepted.task_id == task_id
        (task,) = (await running.sandbox.state())["tasks"]
        assert [turn["prompt"] for turn in task["turns"]] == ["remember 4711", *["and now?"] * 3]


async def test_a_callers_lease_at_both(tmp_path: Path, postgres_url: str) -> None:
    """It carries one turn at a time; released at one server, it is lost to the turn at the other."""
    async with two_servers(tmp_path, postgres_url, users=1, slots=1) as running:
        one, two = running.both
        lease = (await one.pool.Acquire(AcquireRequest(ttl=Duration(seconds=600)))).lease
        held = HeldLease(lease_id=lease.lease_id, token=lease.token)
        turn = two.tasks.Stream(StreamRequest(start=StartTurn(prompt="/pace 6000 100", lease=held)))
        events = list((await turn.read()).events)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await one.turn("beside", lease=held)
        assert reason_of(refused.value) == "TASK_BUSY"
        await one.pool.Release(ReleaseRequest(lease_id=lease.lease_id, token=lease.token))
        async with asyncio.timeout(SECONDS):
            while response := await turn.read():
                events += response.events
        assert events[-1].ended.error == ErrorReason.ERROR_REASON_LEASE_LOST
        assert completed(await one.turn("its slot is free", retention=STOP))
        assert [task["status"] for task in (await running.sandbox.state())["tasks"]] == ["finished"] * 2


async def test_turns_go_on_while_the_database_crashes(
    tmp_path: Path, own_postgres: Postgres, postgres_url: str
) -> None:
    """Crashes take less than a lease's time: nobody who talks to Howler notices."""
    env = {"HOWLER_LEASE_TTL": "6", "HOWLER_LEASE_RENEW": "0.5"}
    async with two_servers(tmp_path, postgres_url, users=3, slots=2, env=env) as running:
        turns = [Watched(running.both[number % 2], "/pace 60 50", retention=STOP) for number in range(6)]
        for turn in turns:
            await turn.until("text_delta")
        for _ in range(3):
            await asyncio.to_thread(own_postgres.restart)
            more = [howler.turn("while it recovers", retention=STOP) for howler in running.both]
            waiting = [asyncio.create_task(turn) for turn in more]
            await asyncio.sleep(0.3)
        for turn in turns:
            events = await turn.rest()
            assert completed(events), events[-1]
            assert text_of(events).count("tok") == 60
        assert all(completed(events) for events in await asyncio.gather(*waiting))


async def test_what_a_killed_server_held_is_stopped_and_granted_again(
    tmp_path: Path, postgres_url: str
) -> None:
    """Its lease lapses by the database's clock; its task, left in the middle, is stopped for its slot."""
    with pytest.raises(AssertionError, match="server ended with -9"):  # the end of the context
        await _outlive(tmp_path, postgres_url)


async def _outlive(folder: Path, url: str) -> None:
    async with two_servers(folder, url, users=1, slots=1, env=HASTY) as running:
        turn = Watched(running.one, "/pace 3000 20", retention=KEEP)
        await turn.until("text_delta")
        running.one.server.signal(signal.SIGKILL)
        await running.one.server.ended()
        assert completed(await running.two.turn("my turn", retention=STOP))
        left, _ = (await running.sandbox.state())["tasks"]
        assert (left["id"], left["status"]) == (turn.task_id, "finished")
        assert (await running.sandbox.state())["requests"][CREATE] == 2, "no create was refused"
        turn.call.cancel()
