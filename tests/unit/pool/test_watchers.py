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


def watchers(replica: str = "r1") -> Watchers:
    return Watchers(lambda: 1.0, lambda: replica)


async def some(events: AsyncGenerator[WatchResponse, None], count: int) -> list[WatchResponse]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def test_it_begins_with_snapshots_and_goes_on_from_any_cursor() -> None:
    told = watchers()
    told.tell(P.POOL_EVENT_LEASED, ANN)
    events = told.watch(lambda: [ANN])
    (snapshot,) = await some(events, 1)
    assert (snapshot.event, snapshot.cursor) == (P.POOL_EVENT_SNAPSHOT, "r1:1")
    for event in (P.POOL_EVENT_COOLING, P.POOL_EVENT_COOLED, P.POOL_EVENT_RELEASED):
        told.tell(event, ANN)
    read = await some(events, 3)
    assert [one.cursor for one in read] == ["r1:2", "r1:3", "r1:4"]
    assert await some(told.watch(lambda: [ANN], snapshot.cursor), 3) == read
    again = told.watch(lambda: [ANN], read[-1].cursor)
    told.tell(P.POOL_EVENT_CHANGED, ANN)
    assert [one.event for one in await some(again, 1)] == [P.POOL_EVENT_CHANGED]


@pytest.mark.parametrize("cursor", ["", "r2:1", "r1:", "r1:-1", "r1:9", "nonsense", "r1:" + "9" * 30, ":1"])
async def test_an_unknown_cursor_begins_anew(cursor: str) -> None:
    told = watchers()
    told.tell(P.POOL_EVENT_LEASED, ANN)
    (first,) = await some(told.watch(lambda: [ANN], cursor), 1)
    assert first.event == P.POOL_EVENT_SNAPSHOT


async def test_a_cursor_that_is_too_old_begins_anew() -> None:
    told = watchers()
    for _ in range(KEPT + 1):
        told.tell(P.POOL_EVENT_LEASED, ANN)
    (first,) = await some(told.watch(lambda: [ANN], "r1:0"), 1)
    assert first.event == P.POOL_EVENT_SNAPSHOT
    (oldest,) = await some(told.watch(lambda: [ANN], "r1:1"), 1)
    assert (oldest.event, oldest.cursor) == (P.POOL_EVENT_LEASED, "r1:2")


async def test_who_is_too_far_behind_is_ended() -> None:
    told = watchers()
    events = told.watch(lambda: [ANN])
    await some(events, 1)
    for _ in range(KEPT + 1):
        told.tell(P.POOL_EVENT_LEASED, ANN)
    with pytest.raises(ServiceError) as caught:
        await some(events, 1)
    assert caught.value.reason == ErrorReason.ERROR_REASON_SLOW_CONSUMER
    assert len(told) == 0


async def test_closing_ends_all_once_they_have_read() -> None:
    told = watchers()
    events = told.watch(list)
    told.tell(P.POOL_EVENT_IMPORTED, ANN)
    waiting = asyncio.create_task(some(events, 2))
    await asyncio.sleep(0)
    told.close()
    with pytest.raises(ServiceError) as caught:
        await waiting
    assert caught.value.reason == ErrorReason.ERROR_REASON_SHUTTING_DOWN
