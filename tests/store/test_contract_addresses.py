"""What every store must do for replicas that share it: who runs a turn, and where that is (issue 5)."""

import asyncio
from dataclasses import replace

from server.pool.account import LeaseId, TaskId
from server.store.addresses import Addresses, Owner
from server.store.clock import clock_us
from server.store.open import AnyStore
from tests.store.records import TTL, granted, task
from tests.store.test_contract_turns import ended, turn

HERE, THERE = "10.0.0.1:50051", "10.0.0.2:50051"


def of(store: AnyStore, ttl: float = TTL) -> Addresses:
    return Addresses(store, store.replica, ttl)


async def test_a_durable_turn_is_found_while_it_runs(store: AnyStore, other: AnyStore) -> None:
    await of(store).renew(HERE)
    await of(other).renew(THERE)
    await store.turns.begin(turn())
    for asked in (of(store), of(other)):
        assert await asked.of_turn("turn") == Owner(store.replica, HERE, alive=True)
        assert await asked.of_turn("another") is None
    await store.turns.write([], [ended()])
    assert await of(other).of_turn("turn") is None


async def test_who_claims_a_turn_owns_it(store: AnyStore, other: AnyStore) -> None:
    await of(other).renew(THERE)
    await store.turns.begin(turn())
    assert await of(other).of_turn("turn") == Owner(store.replica, "", alive=False)
    assert await other.turns.claim("turn", store.replica, "acc_ann", "l2")
    assert await of(store).of_turn("turn") == Owner(other.replica, THERE, alive=True)


async def test_a_turn_that_is_not_durable_is_found_by_its_task(store: AnyStore, other: AnyStore) -> None:
    await of(store).renew(HERE)
    assert await granted(store, "l1")
    await store.turns.begin(replace(turn("turn"), durable=False))  # where its log was spilled to the store
    assert await of(other).of_turn("turn") is None
    assert await store.record_task(task("t1"), LeaseId("l1"))
    owner = Owner(store.replica, HERE, alive=True)
    assert await of(other).of_turn("turn") == owner
    assert await of(other).of_task(TaskId("t1")) == owner
    assert await of(other).of_task(TaskId("t2")) is None
    await store.end_lease(LeaseId("l1"), 9)
    assert await of(other).of_turn("turn") is None
    assert await of(other).of_task(TaskId("t1")) is None


async def test_a_later_turn_on_a_task_is_found(store: AnyStore, other: AnyStore) -> None:
    await of(other).renew(THERE)
    assert await granted(store, "l1")
    assert await store.record_task(task("t1"), LeaseId("l1"))
    await store.end_lease(LeaseId("l1"), 6)
    assert await of(store).of_task(TaskId("t1")) is None
    assert await granted(other, "l2", "t1")
    await other.touch_task(TaskId("t1"), "turn2", 7)
    assert await of(store).of_turn("turn2") == Owner(other.replica, THERE, alive=True)
    assert await of(store).of_turn("turn") is None


async def test_a_row_lapses_and_is_renewed(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    short = of(store, ttl=0.2)
    await short.renew(HERE)
    async with asyncio.timeout(60):
        while (owner := await of(other).of_turn("turn")) and owner.alive:
            await asyncio.sleep(0.02)
    assert owner == Owner(store.replica, "", alive=False)
    await of(store).renew(THERE)
    assert await of(other).of_turn("turn") == Owner(store.replica, THERE, alive=True)


async def test_who_lapsed_long_ago_is_forgotten_by_the_others(store: AnyStore, other: AnyStore) -> None:
    await of(store, ttl=0.001).renew(HERE)
    await asyncio.sleep(0.01)
    await of(other).renew(THERE)

    async def forgotten(ttl: float) -> list[str]:
        which = {"name": other.replica, "ttl_us": int(ttl * 1e6), "now": clock_us()}
        return [row["name"] for row in await other.write("", "forget_replicas", which)]

    assert await forgotten(TTL) == []
    assert await forgotten(0) == [store.replica]


async def test_who_ends_is_gone_at_once(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    await of(store).renew(HERE)
    await of(store).leave()
    assert await of(other).of_turn("turn") == Owner(store.replica, "", alive=False)
