"""Watching the pool: from the beginning, from a cursor, too slowly."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import Account, WatchResponse

from server.errors import ServiceError
from server.pool.watchers import KEPT, Watchers

P = PoolEvent
ANN = Account(account_id="ann")


def ann() -> Account:
    return ANN


def watchers(replica: str = "r1") -> Watchers:
    return Watchers(lambda: 1.0, lambda: replica)


async def some(events: AsyncGenerator[WatchResponse, None], count: int) -> list[WatchResponse]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def test_it_begins_with_snapshots_and_goes_on_from_any_cursor() -> None:
    told = watchers()
    told.tell(P.POOL_EVENT_LEASED, ann)  # which nobody can ask for
    events = told.watch(lambda: [ANN])
    (snapshot,) = await some(events, 1)
    assert (snapshot.event, snapshot.cursor) == (P.POOL_EVENT_SNAPSHOT, "r1:0")
    for event in (P.POOL_EVENT_COOLING, P.POOL_EVENT_COOLED, P.POOL_EVENT_RELEASED):
        told.tell(event, ann)
    read = await some(events, 3)
    assert [one.cursor for one in read] == ["r1:1", "r1:2", "r1:3"]
    assert await some(told.watch(lambda: [ANN], snapshot.cursor), 3) == read
    again = told.watch(lambda: [ANN], read[-1].cursor)
    told.tell(P.POOL_EVENT_CHANGED, ann)
    assert [one.event for one in await some(again, 1)] == [P.POOL_EVENT_CHANGED]


@pytest.mark.parametrize("cursor", ["", "r2:1", "r1:", "r1:-1", "r1:9", "nonsense", "r1:" + "9" * 30, ":1"])
async def test_an_unknown_cursor_begins_anew(cursor: str) -> None:
    told = watchers()
    told.tell(P.POOL_EVENT_LEASED, ann)
    (first,) = await some(told.watch(lambda: [ANN], cursor), 1)
    assert first.event == P.POOL_EVENT_SNAPSHOT


async def test_a_cursor_that_is_too_old_begins_anew() -> None:
    told = watchers()
    await some(told.watch(lambda: [ANN]), 1)
    for _ in range(KEPT + 1):
        told.tell(P.POOL_EVENT_LEASED, ann)
    (first,) = await some(told.watch(lambda: [ANN], "r1:0"), 1)
    assert first.event == P.POOL_EVENT_SNAPSHOT
    (oldest,) = await some(told.watch(lambda: [ANN], "r1:1"), 1)
    assert (oldest.event, oldest.cursor) == (P.POOL_EVENT_LEASED, "r1:2")


async def test_who_is_too_far_behind_is_ended() -> None:
    told = watchers()
    events = told.watch(lambda: [ANN])
    await some(events, 1)
    for _ in range(KEPT + 1):
        told.tell(P.POOL_EVENT_LEASED, ann)
    with pytest.raises(ServiceError) as caught:
        await some(events, 1)
    assert caught.value.reason == ErrorReason.ERROR_REASON_SLOW_CONSUMER
    assert len(told) == 0


async def test_closing_ends_all_once_they_have_read() -> None:
    told = watchers()
    waiting = asyncio.create_task(some(told.watch(list), 2))
    await asyncio.sleep(0)
    told.tell(P.POOL_EVENT_IMPORTED, ann)
    told.close()
    with pytest.raises(ServiceError) as caught:
        await waiting
    assert caught.value.reason == ErrorReason.ERROR_REASON_SHUTTING_DOWN


def test_some_heed_some_events() -> None:
    told, heard = watchers(), list[str]()
    told.heed((P.POOL_EVENT_IMPORTED, P.POOL_EVENT_REMOVED), lambda: heard.append("changed"))
    for event in (P.POOL_EVENT_IMPORTED, P.POOL_EVENT_LEASED, P.POOL_EVENT_REMOVED):
        told.tell(event, ann)
    assert heard == ["changed", "changed"]
