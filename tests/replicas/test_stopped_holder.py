"""T-B3: a server that stood still past its lease sends nothing more to the platform under it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import DetachAction, OnDetach, StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import CancelTurnRequest, StreamRequest, TaskState, WatchRequest

from server.pool.account import TaskId
from server.pool.ledger import Holding
from server.store.open import AnyStore, store_at
from tests.replicas.test_replicas import Two, two_servers
from tests.support.howler import Howler, reason_of, text_of
from tests.support.keys import KEYS, ring
from tests.support.lossy import Lossy
from tests.support.postgres import Postgres
from tests.support.watched import Watched

SECONDS = 60.0  # a test that waits for longer has failed
SHORT = {
    "HOWLER_LEASE_TTL": "4",
    "HOWLER_LEASE_RENEW": "0.5",
    "HOWLER_LEASE_MARGIN": "0.5",
    "HOWLER_LEASE_RECLAIM": "0.5",
    "HOWLER_SECRETS_KEY": KEYS[0],
}


@pytest.fixture
async def howler(tmp_path: Path, url: str) -> AsyncIterator[Howler]:
    """Start a server on the sandbox with short leases."""
    async with Howler(tmp_path, facade=False, env=SHORT | {"HOWLER_DATABASE_URL": url}) as running:
        yield running


@pytest.fixture
async def other(howler: Howler, url: str) -> AsyncIterator[AnyStore]:
    """Open the server's database as another replica."""
    async with store_at(url, ring(), 1, 0.5) as store:
        yield store


async def sent(howler: Howler | Two) -> list[Any]:
    """Return all that the sandbox was sent for tasks: frames and requests."""
    state = await howler.sandbox.state()
    requests = [
        (record["route"], record["path"]) for record in state["request_log"] if "/tasks" in record["path"]
    ]
    return [*state["frames"], *requests]


async def turns(store: AnyStore) -> list[Holding]:
    """Return the leases that turns run on."""
    leases = (await store.books()).leases
    return [one for one in leases if one.lease.mode == LeaseMode.LEASE_MODE_EXCLUSIVE]


async def test_a_server_that_stood_still_says_nothing_more(howler: Howler, other: AnyStore) -> None:
    call = aiter(howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="/silence 600"))))
    accepted = (await anext(call)).events[0].accepted
    task_id = TaskId(accepted.task_id)
    async with asyncio.timeout(SECONDS):
        while not any("auto-approve" in str(frame) for frame in await sent(howler)):
            await asyncio.sleep(0.02)

        (held,) = await turns(other)
        howler.server.signal(signal.SIGSTOP)
        while held.lease.account_id not in await other.reclaim():  # others' models may have been asked for
            await asyncio.sleep(0.05)
        task = await other.task(task_id)
        assert task is not None
        assert task.state == TaskState.TASK_STATE_RUNNING, "left in the middle of its turn"
        heir = Lease(
            lease_id="heir", account_id=task.account_id, mode=LeaseMode.LEASE_MODE_EXCLUSIVE, purpose="heir"
        )
        token = await other.grant(heir, task_id, 600.0, 1)
        assert token is not None
        assert token > held.lease.token
        before = await sent(howler)

        # What it does first when it goes on: it would cancel the turn, and stop the task.
        cancelled = howler.tasks.CancelTurn(CancelTurnRequest(turn_id=accepted.turn_id))
        howler.server.signal(signal.SIGCONT)
        told = ""
        try:
            events = [event async for response in call for event in response.events]
            told = "CANCELLED" * (events[-1].ended.error == ErrorReason.ERROR_REASON_CANCELLED)
        except grpc.aio.AioRpcError as error:
            told = reason_of(error)
        assert told in ("CANCELLED", "BACKEND_UNAVAILABLE"), "the durable turn is the heir's to go on with"
        cancelled.cancel()  # unless the turn is over it waits for the heir, who does nothing here
        await asyncio.sleep(1.0)  # time to do wrong
        assert await sent(howler) == before
        assert [one.lease.lease_id for one in await turns(other)] == ["heir"], "the heir was left alone"


async def followed(howler: Howler, turn_id: str, events: list[TaskEvent]) -> None:
    """Watch a turn to its end, and again from where it was whenever its server says that it goes on."""
    while not (events and events[-1].HasField("ended")):
        asked = WatchTurn(turn_id=turn_id, after_seq=len(events))
        try:
            async for response in howler.tasks.Watch(WatchRequest(watch=asked)):
                events += response.events
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(0.1)


async def test_the_turns_of_a_server_that_stood_still_go_on_elsewhere(
    tmp_path: Path, postgres_url: str
) -> None:
    """E6: when it wakes it neither says a word to the platform nor writes one; its watchers go on, too."""
    keep = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
    async with two_servers(tmp_path, postgres_url, users=1, slots=4, env=SHORT) as two:
        here, there = list[TaskEvent](), list[TaskEvent]()
        turn = Watched(two.one, "/pace 200 20", on_detach=keep)
        await turn.until("text_delta")
        watching = asyncio.create_task(followed(two.one, turn.turn_id, here))
        async with asyncio.timeout(SECONDS):
            while len(here) < 20:
                await asyncio.sleep(0.01)
            far = asyncio.create_task(followed(two.two, turn.turn_id, there))
            while not there:
                await asyncio.sleep(0.01)
            two.one.server.signal(signal.SIGSTOP)
            await far
            before = await sent(two)
            two.one.server.signal(signal.SIGCONT)
            await watching
        assert text_of(there) == "".join(f"tok{number} " for number in range(200))
        assert here == there
        again = list[TaskEvent]()
        await followed(two.two, turn.turn_id, again)
        assert again == there
        assert await sent(two) == before, "nor is the task stopped, which rests"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await turn.rest()
        assert reason_of(raised.value) == "BACKEND_UNAVAILABLE"


async def test_a_turn_whose_server_had_no_database_for_long_goes_on(
    tmp_path: Path, own_postgres: Postgres, postgres_url: str
) -> None:
    """Its lease lapsed: it is left, and adopted by the same server once the database is there again."""
    keep = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
    events: list[TaskEvent] = []
    async with (
        asyncio.timeout(2 * SECONDS),
        Lossy(postgres_url) as database,
        Howler(tmp_path, facade=False, env=SHORT | {"HOWLER_DATABASE_URL": database.url}) as howler,
    ):
        turn = Watched(howler, "/pace 300 20", on_detach=keep)
        await turn.until("text_delta")
        database.go_away()
        while "is believed in no longer" not in howler.server.errors:
            await asyncio.sleep(0.05)
        database.come_back()
        await followed(howler, turn.turn_id, events)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await turn.rest()
    assert reason_of(raised.value) == "BACKEND_UNAVAILABLE"
    assert text_of(events) == "".join(f"tok{number} " for number in range(300))
    assert turn.events == events[: len(turn.events)]


async def test_what_a_killed_server_left_is_stopped_by_the_next(howler: Howler) -> None:
    """A turn that was cut off by `kill -9` does not go on unseen."""
    call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="/silence 600")))
    task_id = (await call.read()).events[0].accepted.task_id
    howler.server.signal(signal.SIGKILL)
    await howler.server.ended()
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    await howler.server.start()
    async with asyncio.timeout(SECONDS):
        await howler.server._until_ready()
        while (await howler.sandbox.task(task_id))["status"] != "finished":
            await asyncio.sleep(0.05)
