"""What every store must do for replicas that share it: leases."""

import asyncio

import pytest
from howler.pool.v1.pool_service_pb2 import Lease

from server.pool.account import AccountId, LeaseId, TaskId
from server.store.open import AnyStore
from tests.store.records import (
    ANN,
    BOB,
    EXCLUSIVE,
    NO_TASK,
    RECLAIM,
    SECONDS,
    SHARED,
    TTL,
    busy_tasks,
    fill,
    granted,
    lease,
    leases,
    task,
)


async def test_books_tell_who_answers_for_a_lease_and_for_how_long(store: AnyStore, other: AnyStore) -> None:
    await store.grant(lease("mine"), NO_TASK, 30, 1)
    await other.grant(lease("theirs", BOB, SHARED), NO_TASK, 40, 2)
    held = await leases(store)
    assert {name: holding.replica for name, holding in held.items()} == {
        "mine": store.replica,
        "theirs": other.replica,
    }
    assert store.replica != other.replica
    for name, seconds in (("mine", 30), ("theirs", 40)):
        assert seconds - 5 < held[name].left <= seconds
        assert held[name].reclaimable == pytest.approx(held[name].left + RECLAIM)
    assert held["mine"].lease == Lease(
        lease_id="mine", account_id=ANN, mode=EXCLUSIVE, token=1, holder="h", purpose="p"
    )
    assert [holding.lease.lease_id for holding in (await store.books([BOB])).leases] == ["theirs"]


async def test_a_lease_is_renewed_until_it_lapses(store: AnyStore, other: AnyStore) -> None:
    for lease_id in ("a", "b", "c"):
        await granted(store, lease_id, ttl=20)
    asked = {LeaseId("a"): 100.0, LeaseId("b"): 0.0, LeaseId("unknown"): 9.0}
    assert await other.renew(asked) == {"a", "b"}
    held = await leases(store)
    assert 80 < held["a"].left <= 100
    assert held["b"].left <= 0
    assert 0 < held["c"].left <= 20
    assert await store.renew({LeaseId("b"): 20.0}) == frozenset(), "it lapsed"
    assert await store.renew({}) == frozenset()
    await store.end_lease(LeaseId("c"), 2)
    assert await store.renew({LeaseId("c"): 20.0}) == frozenset(), "it ended"


async def test_a_lease_that_has_lapsed_is_ended_by_who_answers_for_it(store: AnyStore) -> None:
    await fill(store)
    await store.record_task(task("t1"), LeaseId("full0"))
    assert not await store.lapse(LeaseId("full0"), 2)
    await store.renew({LeaseId("full0"): 0, LeaseId("full1"): 0})
    assert await granted(store, "l1") is None, "a slot is not free before the lease is ended"
    assert await store.lapse(LeaseId("full0"), 3)
    assert await store.lapse(LeaseId("full1"), 3)
    assert await store.lapse(LeaseId("full1"), 4), "it is over"
    assert await store.lapse(LeaseId("unknown"), 4)
    assert await busy_tasks(store) == {"t1": True}, "left in the middle"
    assert set(await leases(store)) == {"full2"}
    assert await granted(store, "l1")
    assert await granted(store, "l2") is None
    assert await granted(store, "l3", "t1"), "somebody may see to the task"


async def test_what_nobody_renews_is_reclaimed_after_a_while(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    await store.grant(lease("shared", BOB, SHARED), NO_TASK, 0.05, 1)
    await store.record_task(task("t1"), LeaseId("full0"))
    await store.renew({LeaseId("full0"): 0.05, LeaseId("full1"): 0.05})
    reclaimed: set[AccountId] = set()
    async with asyncio.timeout(SECONDS):
        while len(await leases(other)) > 1:
            before = await leases(other)
            reclaimed |= await other.reclaim()
            after = await leases(other)
            assert all(holding.reclaimable < 0.02 for name, holding in before.items() if name not in after), (
                "none before its time"
            )
            await asyncio.sleep(0.01)
    assert reclaimed == {ANN, BOB}
    assert set(await leases(store)) == {"full2"}
    assert await busy_tasks(store) == {"t1": True}
    assert await store.renew({LeaseId("full0"): TTL}) == frozenset()
    await store.end_lease(LeaseId("full0"), 5)
    assert await busy_tasks(store) == {"t1": True}, "one that has ended stays as it is"
    assert await other.reclaim() == frozenset()


async def test_a_callers_lease_is_claimed_for_one_turn_at_a_time(store: AnyStore, other: AnyStore) -> None:
    for lease_id in ("idle", "turn", "lapsed"):
        await granted(store, lease_id, ttl=30)
    await store.record_task(task("t1"), LeaseId("turn"))
    await store.renew({LeaseId("lapsed"): 0})
    left = await other.claim(LeaseId("idle"), NO_TASK, "a")
    assert left is not None
    assert 20 < left <= 30
    assert await other.claim(LeaseId("idle"), NO_TASK, "a"), "the same turn may claim it again"
    assert await store.claim(LeaseId("idle"), NO_TASK, "b") is None
    assert await other.claim(LeaseId("turn"), TaskId("t1"), "a") is None, "a turn runs on its task"
    assert await other.claim(LeaseId("lapsed"), NO_TASK, "a") is None
    assert await other.claim(LeaseId("unknown"), NO_TASK, "a") is None
    await store.unclaim(LeaseId("turn"), "", 5)
    assert await other.claim(LeaseId("turn"), NO_TASK, "a") is None, "it has a task"
    assert await other.claim(LeaseId("turn"), TaskId("t1"), "a") is not None
    held = await leases(store)
    assert [held[name].replica for name in ("idle", "turn", "lapsed")] == [
        other.replica,
        other.replica,
        store.replica,
    ]
    assert held["turn"].task_id == "t1"
    await store.unclaim(LeaseId("idle"), "b", 6)
    assert await store.claim(LeaseId("idle"), NO_TASK, "b") is None, "another turn's claim stays"
    await store.unclaim(LeaseId("idle"), "a", 6)
    assert await store.claim(LeaseId("idle"), NO_TASK, "b") is not None


async def test_two_claims_at_once(store: AnyStore, other: AnyStore) -> None:
    await granted(store, "l1")
    for number in range(10):
        claims = [one.claim(LeaseId("l1"), NO_TASK, f"{number} {one.replica}") for one in (store, other)]
        won = [left is not None for left in await asyncio.gather(*claims)]
        assert sorted(won) == [False, True]
        winner = (store, other)[won.index(True)]
        await winner.unclaim(LeaseId("l1"), f"{number} {winner.replica}", 5)


async def test_what_a_turn_runs_on_is_released_by_who_runs_it(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    await store.record_task(task("t1"), LeaseId("full1"))
    await store.claim(LeaseId("full2"), NO_TASK, "turn")
    assert await other.release(LeaseId("full0"), 5)
    assert await other.release(LeaseId("full0"), 6), "it has ended"
    assert await other.release(LeaseId("unknown"), 6)
    assert not await other.release(LeaseId("full1"), 7), "another replica may run a turn on its task"
    assert not await other.release(LeaseId("full2"), 7)
    assert not await store.release(LeaseId("full2"), 7)
    held = await leases(other)
    assert held.keys() == {"full1", "full2"}
    assert all(holding.left <= 0 for holding in held.values()), "nobody renews it"
    assert await granted(store, "l1")
    assert await granted(store, "l2") is None
    assert not await other.lapse(LeaseId("full2"), 8)
    assert await store.lapse(LeaseId("full2"), 8)
    assert await granted(store, "l2")
    assert await store.release(LeaseId("full1"), 9), "who answers for it knows that no turn runs"
    assert await busy_tasks(store) == {"t1": False}


async def test_tokens_of_leases_are_remembered(store: AnyStore, other: AnyStore) -> None:
    for name in ("released", "ended", "live"):
        await granted(store, name)
    await store.release(LeaseId("released"), 10**15)
    await store.end_lease(LeaseId("ended"), 10**15)
    told = [await other.lease_token(LeaseId(name)) for name in ("released", "ended", "live", "unknown")]
    assert told == [1, None, 3, None], "who ends one in order does not ask for it again"


async def test_calls_that_nobody_waited_for_keep_their_order(store: AnyStore) -> None:
    """As the pool does with a grant whose caller left: the lease is ended behind it."""
    calls = []
    for number in range(20):
        lease_id = LeaseId(f"l{number}")
        calls.append(asyncio.ensure_future(granted(store, lease_id)))
        await asyncio.sleep(0)
        calls[-1].cancel()
        calls.append(asyncio.ensure_future(store.end_lease(lease_id, 2)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
    await asyncio.gather(*calls, return_exceptions=True)
    assert await leases(store) == {}
    await fill(store)
