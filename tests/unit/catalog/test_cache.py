"""P5: one refresh for all waiters, stale served while refreshing, an outage survived."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model

from server.catalog.cache import Catalog
from server.catalog.listing import Listing
from server.errors import ServiceError
from tests.unit.catalog.models import model

DOWN = ServiceError(ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the platform is down")


class Source:
    """A platform to load from, slow and failing as told; each list is dated by its number."""

    def __init__(self) -> None:
        self.loads = 0
        self.failure: Exception | None = None
        self.complete = True
        self.models: tuple[Model, ...] = (model("1", "p", "m"),)
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> Listing:
        self.loads += 1
        number = self.loads
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return Listing(models=self.models, accounts={}, fetched_at=number, complete=self.complete)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def catalog(source: Source, clock: Clock) -> AsyncIterator[Catalog]:
    made = Catalog(source.load, clock, ttl=300)
    yield made
    await made.close()


async def settle() -> None:
    """Let the refresh in the background go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_refresh_for_a_hundred_waiters(catalog: Catalog, source: Source) -> None:
    """P5."""
    source.open.clear()
    waiters = [asyncio.create_task(catalog.listing()) for _ in range(100)]
    refreshers = [asyncio.create_task(catalog.refresh()) for _ in range(100)]
    await settle()
    source.open.set()
    lists = await asyncio.gather(*waiters, *refreshers)
    assert source.loads == 1
    assert {listing.fetched_at for listing in lists} == {1}


async def test_an_empty_list_is_fetched_again(catalog: Catalog, source: Source) -> None:
    """An account may be back: the caller waits for the list, and gets what it says."""
    models, source.models = source.models, ()
    assert not (await catalog.listing()).models
    source.failure = DOWN
    with pytest.raises(ServiceError):
        await catalog.listing()
    source.failure, source.models = None, models
    assert (await catalog.listing()).models == models
    await catalog.listing()
    assert source.loads == 3


async def test_a_fresh_list_is_not_fetched_again(catalog: Catalog, source: Source, clock: Clock) -> None:
    """P5."""
    await catalog.listing()
    clock.now += 299.9
    await catalog.listing()
    await settle()
    assert source.loads == 1


async def test_a_stale_list_is_served_while_it_is_refreshed(
    catalog: Catalog, source: Source, clock: Clock
) -> None:
    """P5."""
    await catalog.listing()
    clock.now += 300
    source.open.clear()
    assert [(await catalog.listing()).fetched_at for _ in range(5)] == [1] * 5
    await settle()
    assert source.loads == 2
    source.open.set()
    await settle()
    assert (await catalog.listing()).fetched_at == 2


async def test_a_list_that_is_not_complete_is_stale_sooner(
    catalog: Catalog, source: Source, clock: Clock
) -> None:
    """And later each time: an account that never answers must not make the others be asked all the time."""
    source.complete = False
    await catalog.listing()
    loads = []
    for seconds in (14.9, 0.1, 29.9, 0.1, 59.9, 0.1, 119.9, 0.1, 239.9, 0.1, 299.9, 0.1, 299.9, 0.1):
        clock.now += seconds
        await catalog.listing()
        await settle()
        loads.append(source.loads)
    assert loads == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8]
    source.complete = True
    await catalog.refresh()
    clock.now += 299.9
    await catalog.listing()
    await settle()
    assert source.loads == 9


async def test_an_outage_is_survived_and_told_once(
    catalog: Catalog, source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """P5."""
    caplog.set_level(logging.INFO)
    await catalog.listing()
    source.failure = DOWN
    clock.now += 300
    for _ in range(4):
        assert (await catalog.listing()).fetched_at == 1
        await settle()
        clock.now += 120
    assert source.loads == 5
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    source.failure = None
    await catalog.listing()
    await settle()
    assert (await catalog.listing()).fetched_at == 6
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_refresh_that_failed_is_not_repeated_at_once(
    catalog: Catalog, source: Source, clock: Clock
) -> None:
    await catalog.listing()
    source.failure = DOWN
    clock.now += 300
    for _ in range(10):
        await catalog.listing()
        await settle()
    assert source.loads == 2
    clock.now += 1
    await catalog.listing()
    await settle()
    assert source.loads == 3


async def test_without_any_list_the_failure_is_told_and_each_call_tries(
    catalog: Catalog, source: Source
) -> None:
    source.failure = DOWN
    for _ in range(3):
        with pytest.raises(ServiceError) as raised:
            await catalog.listing()
        assert raised.value is DOWN
    source.failure = None
    assert (await catalog.listing()).fetched_at == 4


async def test_refresh_tells_its_failure_and_keeps_the_list(catalog: Catalog, source: Source) -> None:
    await catalog.refresh()
    source.failure = DOWN
    with pytest.raises(ServiceError):
        await catalog.refresh()
    assert (await catalog.listing()).fetched_at == 1


async def test_a_waiter_that_leaves_does_not_end_the_refresh(catalog: Catalog, source: Source) -> None:
    source.open.clear()
    leaving = asyncio.create_task(catalog.listing())
    staying = asyncio.create_task(catalog.listing())
    await settle()
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    source.open.set()
    assert (await staying).fetched_at == 1
    assert source.loads == 1


async def test_a_failure_that_nobody_waits_for_is_no_warning_of_the_loop(
    catalog: Catalog, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.open.clear()
    source.failure = DOWN
    leaving = asyncio.create_task(catalog.listing())
    await settle()
    leaving.cancel()
    source.open.set()
    await settle()
    assert [record.name for record in caplog.records] == ["server.catalog.cache"]


async def test_a_bug_is_logged_whole(
    catalog: Catalog, source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await catalog.listing()
    source.failure = KeyError("bug")
    clock.now += 300
    await catalog.listing()
    await settle()
    assert "KeyError" in caplog.text
    assert (await catalog.listing()).fetched_at == 1


async def fetched(catalog: Catalog, number: int) -> None:
    """Wait until the list is that of the given number."""
    async with asyncio.timeout(60):
        while (await catalog.listing()).fetched_at != number:
            await asyncio.sleep(0.01)


async def test_changes_bring_one_new_list(catalog: Catalog, source: Source) -> None:
    await catalog.listing()
    for _ in range(100):
        catalog.renew()
    await fetched(catalog, 2)
    assert source.loads == 2


async def test_a_change_during_a_refresh_brings_another_one(catalog: Catalog, source: Source) -> None:
    source.open.clear()
    first = asyncio.create_task(catalog.listing())
    await settle()
    catalog.renew()
    await asyncio.sleep(0.5)  # the change is due, and cannot have been in the list under way
    source.open.set()
    assert (await first).fetched_at == 1
    await fetched(catalog, 2)


async def test_a_change_before_there_is_a_list_fetches_none(catalog: Catalog, source: Source) -> None:
    catalog.renew()
    await asyncio.sleep(0.5)
    assert source.loads == 0


async def test_who_cannot_do_without_a_change_waits_for_it(catalog: Catalog, source: Source) -> None:
    """And only where there was one: a list that is as it was is not asked for anew."""
    await catalog.listing()
    assert (await catalog.settled()).fetched_at == 1
    catalog.renew()
    assert (await catalog.listing()).fetched_at == 1
    lists = await asyncio.gather(*(catalog.settled() for _ in range(10)))
    assert {listing.fetched_at for listing in lists} == {2}
    assert source.loads == 2


async def test_a_refresh_that_began_before_a_change_does_not_show_it(
    catalog: Catalog, source: Source
) -> None:
    await catalog.listing()
    source.open.clear()
    before = asyncio.create_task(catalog.refresh())
    await settle()
    catalog.renew()
    after = asyncio.create_task(catalog.settled())
    await settle()
    source.open.set()
    assert [(await one).fetched_at for one in (before, after)] == [2, 3]
