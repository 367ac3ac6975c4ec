"""What every store must do for replicas that share it: slots."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import TaskState

from server.pool.account import AccountId, LeaseId, TaskId
from server.store.open import AnyStore, store_at
from tests.store.records import (
    ANN,
    BOB,
    EXCLUSIVE,
    NO_LEASE,
    NO_TASK,
    SECONDS,
    SHARED,
    SLOTS,
    TTL,
    busy_tasks,
    fill,
    granted,
    lease,
    leases,
    member,
    state_of,
    task,
)
from tests.support.keys import ring


async def test_no_more_exclusive_leases_than_slots(replicas: Callable[[], AnyStore]) -> None:
    store = replicas()
    grants = await asyncio.gather(*(granted(replicas(), f"l{n}") for n in range(100)))
    tokens = sorted(token for token in grants if token is not None)
    assert tokens == list(range(1, len(tokens) + 1))
    assert len((await store.books()).leases) == len(tokens) <= SLOTS
    while len(tokens) < SLOTS:  # each may have been first at a slot that another took
        tokens.append(await granted(store, f"more{len(tokens)}") or 0)
    assert await granted(store, "late") is None
    assert await store.grant(lease("bob", BOB), NO_TASK, TTL, 1) == 1
    assert await store.grant(lease("shared", mode=SHARED), NO_TASK, TTL, 1) == SLOTS + 1
    await store.end_lease(LeaseId("shared"), 5)
    assert await granted(store, "late") is None, "a shared lease has no slot to give"
    ended = (await store.books([ANN])).leases[0].lease.lease_id
    await store.end_lease(LeaseId(ended), 5)
    assert await granted(store, "next") == SLOTS + 2


@pytest.mark.parametrize("mode", [EXCLUSIVE, SHARED])
async def test_accounts_out_of_use_are_not_granted(store: AnyStore, other: AnyStore, mode: LeaseMode) -> None:
    out_of_use = [
        {"enabled": False},
        {"state": AccountState.ACCOUNT_STATE_EXPIRED},
        {"state": AccountState.ACCOUNT_STATE_INVALID},
    ]
    await granted(store, "l1")
    await store.record_task(task("t1"), LeaseId("l1"))
    await store.end_lease(LeaseId("l1"), 2)
    for number, change in enumerate(out_of_use):
        now = (await store.books([ANN])).members[0]
        as_it_was = member(ANN)
        assert await store.put_account(replace(as_it_was, version=now.version, **change))  # type: ignore[arg-type]
        assert await other.grant(lease(f"x{number}", mode=mode), NO_TASK, TTL, 1) is None
        assert await granted(other, f"y{number}", "t1") is None
    now = (await store.books([ANN])).members[0]
    created = replace(now, state=AccountState.ACCOUNT_STATE_CREATED, enabled=True)
    assert await store.put_account(created)
    assert await other.grant(lease("l", mode=mode), NO_TASK, TTL, 1) == 2
    assert await other.grant(lease("z", AccountId("acc_none"), mode), NO_TASK, TTL, 1) is None


async def disable_with_tasks(store: AnyStore) -> None:
    """Disable Ann's account, on which a task is idle and one was left in the middle."""
    for name in ("idle", "left"):
        await granted(store, name)
        await store.record_task(task(name), LeaseId(name))
    await store.end_lease(LeaseId("idle"), 2)
    await store.renew({LeaseId("left"): 0})
    await store.lapse(LeaseId("left"), 2)
    now = (await store.books([ANN])).members[0]
    assert await store.put_account(replace(now, enabled=False))


async def test_what_was_left_on_a_disabled_account_may_be_seen_to(store: AnyStore, other: AnyStore) -> None:
    await disable_with_tasks(store)
    assert await granted(other, "next", "idle") is None
    assert await granted(other, "stop", "left")
    now = (await store.books([ANN])).members[0]
    assert await store.put_account(replace(now, state=AccountState.ACCOUNT_STATE_EXPIRED))
    await store.end_lease(LeaseId("stop"), 3, ended_task=TaskId("left"))
    assert await state_of(store, "left") == TaskState.TASK_STATE_ENDED


async def test_slots_follow_the_accounts_record(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    assert await store.put_account(replace(member(ANN), slots=SLOTS + 1))
    assert await granted(other, "one more")
    assert await store.put_account(replace(member(ANN), slots=1, version=1))
    for number in range(SLOTS):
        await other.end_lease(LeaseId(f"full{number}"), 2)
        assert (await granted(other, f"again{number}") is None) == (number > 0), "slot 1 alone is left"
    assert await store.put_account(replace(member(ANN), slots=0, version=2))
    assert await granted(other, "default") is not None


async def test_a_default_that_grew_gives_more_slots(url: str) -> None:
    async with store_at(url, ring(), 1) as store:
        await store.add_account(member(ANN))
        assert await granted(store, "l1")
        assert await granted(store, "l2") is None
    async with store_at(url, ring(), 2) as store:
        assert await granted(store, "l2")
        assert await granted(store, "l3") is None


async def test_a_task_holds_the_slot_until_it_ends(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    assert await store.record_task(task("t1"), LeaseId("full0"))
    assert await granted(other, "l2") is None
    await store.end_lease(LeaseId("full0"), 3)
    assert await granted(other, "l2") is None
    await other.end_task(TaskId("t1"), 5)
    assert await granted(other, "l2")
    await other.end_task(TaskId("t1"), 6)
    assert await granted(other, "l3") is None, "the slot is the lease's now"


async def test_one_lease_on_a_task(store: AnyStore, other: AnyStore) -> None:
    assert await granted(store, "l1")
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await granted(other, "l2", "t1") is None
    await store.end_lease(LeaseId("l1"), 3)
    tokens = await asyncio.gather(granted(store, "l3", "t1"), granted(other, "l4", "t1"))
    assert sorted(token or 0 for token in tokens) == [0, 2]
    for lease_id in ("l3", "l4"):
        await store.end_lease(LeaseId(lease_id), 5)
    await store.end_task(TaskId("t1"), 6)
    assert await granted(store, "l5", "t1") is None
    assert await granted(store, "l5", "unknown") is None


async def test_a_task_that_ends_under_its_lease_leaves_its_slot(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    await store.record_task(task("t1"), LeaseId("full0"))
    await other.end_task(TaskId("t1"), 5)
    assert await granted(other, "l2")
    await store.end_lease(LeaseId("full0"), 6)
    assert await granted(other, "l3") is None, "the lease had no slot any more"


async def test_a_task_and_its_lease_end_in_one_step(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    await store.record_task(task("t1"), LeaseId("full0"))
    await store.end_lease(LeaseId("full0"), 9, ended_task=TaskId("t1"))
    assert await state_of(store, "t1") == TaskState.TASK_STATE_ENDED
    assert await granted(other, "l2")
    assert await granted(other, "l3") is None
    await other.record_task(task("t2"), LeaseId("l2"))
    await store.end_lease(LeaseId("full0"), 9, ended_task=TaskId("t2"))
    assert await state_of(store, "t2") == TaskState.TASK_STATE_ENDED, "the lease had ended before"
    assert await granted(other, "l3")


async def test_a_task_that_two_leases_recorded_leaves_no_slot_behind(
    store: AnyStore, other: AnyStore
) -> None:
    """Two processes may take a task for theirs: one reads back what the other is about to be told of."""
    await fill(store)
    assert await store.record_task(task("t1"), LeaseId("full0"))
    assert await other.record_task(task("t1"), LeaseId("full1"))
    await store.end_lease(LeaseId("full0"), 5)
    await other.end_lease(LeaseId("full1"), 6, ended_task=TaskId("t1"))
    assert await granted(store, "l1")
    assert await granted(store, "l2")
    assert await granted(store, "l3") is None


async def test_a_task_without_a_live_lease_takes_a_slot_nevertheless(
    store: AnyStore, other: AnyStore
) -> None:
    assert not await store.record_task(task("t1"), NO_LEASE)
    await granted(store, "l2")
    await store.end_lease(LeaseId("l2"), 2)
    assert not await other.record_task(task("t2"), LeaseId("l2"))
    await granted(store, "l3")
    assert await store.record_task(task("t3"), LeaseId("l3"))
    assert not await other.record_task(task("t4"), LeaseId("l3")), "it has a task, and no slot is left"
    assert await busy_tasks(other) == dict.fromkeys(("t1", "t2", "t3", "t4"), True)
    assert await granted(store, "l4") is None
    await store.end_task(TaskId("t1"), 9)
    assert await granted(store, "l4"), "t4 is one too many, but the slots are counted each by itself"
    assert not await store.record_task(task("t4", used_us=5), NO_LEASE), "it has its slot already"
    await store.end_task(TaskId("t4"), 9)
    assert await granted(store, "l5") is None


async def test_a_task_made_under_a_shared_lease_takes_a_free_slot(store: AnyStore, other: AnyStore) -> None:
    assert await store.grant(lease("shared", mode=SHARED), NO_TASK, TTL, 1)
    assert not await store.record_task(task("t1"), LeaseId("shared"))
    assert await busy_tasks(other) == {"t1": True}
    tokens = [await granted(other, f"l{number}") for number in range(SLOTS)]
    assert tokens.count(None) == 1


async def test_a_closed_slot_is_not_granted_until_it_opens(store: AnyStore, other: AnyStore) -> None:
    await fill(store)
    await store.end_lease(LeaseId("full0"), 2, close_slot=60)
    await store.end_lease(LeaseId("full1"), 2, close_slot=0.3)
    assert await granted(other, "l1") is None
    closed = (await other.books()).closed
    assert [account_id for account_id, _ in closed] == [ANN, ANN]
    short, long = sorted(left for _, left in closed)
    assert (0 < short <= 0.3, 0.3 < long <= 60) == (True, True)
    async with asyncio.timeout(SECONDS):
        while await granted(other, "l1") is None:
            await asyncio.sleep(0.02)
    assert len((await other.books()).closed) == 1
    await granted(store, "l2", ttl=TTL)
    await store.record_task(task("t1"), LeaseId("l1"))
    await store.end_lease(LeaseId("l1"), 2, close_slot=60)
    assert len((await other.books()).closed) == 1, "a task took that slot over"


async def test_many_tasks_are_leased_in_one_step_each_by_itself(store: AnyStore, other: AnyStore) -> None:
    for name, account_id in (("busy", BOB), ("idle", BOB), ("old", ANN), ("used", ANN), ("new", ANN)):
        assert await store.grant(lease(name, account_id), NO_TASK, TTL, 1)
        assert await store.record_task(task(name, account_id=account_id), LeaseId(name))
        if name != "busy":
            await store.end_lease(LeaseId(name), 2)
    assert await granted(other, "theirs", "used")
    before = {name: holding.lease.token for name, holding in (await leases(store)).items()}
    asked = {
        TaskId(name): lease(f"stop {name}", account_id)
        for name, account_id in (("new", ANN), ("idle", BOB), ("used", ANN), ("old", ANN), ("busy", BOB))
    }
    asked[TaskId("unknown")] = lease("stop unknown")
    tokens = await store.grant_tasks(asked, TTL, 77)
    assert set(tokens) == {"new", "idle", "old"}, "no lease is on these"
    assert {tokens[TaskId("new")], tokens[TaskId("old")]} == {before["theirs"] + 1, before["theirs"] + 2}
    assert tokens[TaskId("idle")] == before["busy"] + 2
    held = await leases(other)
    assert set(held) == {"busy", "theirs", "stop new", "stop idle", "stop old"}
    for task_id, token in tokens.items():
        holding = held[f"stop {task_id}"]
        granted_lease = Lease()
        granted_lease.CopyFrom(asked[task_id])
        granted_lease.token = token
        assert (holding.lease, holding.task_id, holding.replica) == (granted_lease, task_id, store.replica)
        assert 0 < holding.left <= TTL
    assert {member.last_used_us for member in (await store.books()).members} == {77}
    assert await store.grant_tasks(asked, TTL, 78) == {}
    assert await store.grant_tasks({}, TTL, 78) == {}


async def test_a_task_that_many_want_is_leased_to_one_and_ended_by_it(
    store: AnyStore, other: AnyStore
) -> None:
    tasks = {
        TaskId(f"{account_id} {number}"): account_id for account_id in (ANN, BOB) for number in range(SLOTS)
    }
    for turn in range(5):
        for name, account_id in tasks.items():
            made = f"{name} {turn}"
            assert await store.grant(lease(made, account_id), NO_TASK, TTL, 1)
            assert await store.record_task(task(name, account_id=account_id), LeaseId(made))
            await store.end_lease(LeaseId(made), 2)

        async def stop(replica: AnyStore, caller: int) -> list[TaskId]:
            wanted = list(tasks)[caller:] + list(tasks)[:caller]  # each in another order
            asked = {name: lease(f"{replica.replica} {caller} {name}", tasks[name]) for name in wanted}
            had = await replica.grant_tasks(asked, TTL, 3)
            await replica.end_tasks({name: LeaseId(asked[name].lease_id) for name in had}, 4)
            return list(had)

        calls = (stop(replica, caller) for caller in range(len(tasks)) for replica in (store, other))
        stopped = [name for had in await asyncio.gather(*calls) for name in had]
        assert sorted(stopped) == sorted(tasks)
        books = await other.books()
        assert (books.tasks, books.leases) == ([], [])


async def test_an_account_out_of_use_keeps_its_idle_tasks(store: AnyStore) -> None:
    await disable_with_tasks(store)
    asked = {TaskId("idle"): lease("a"), TaskId("left"): lease("b")}
    assert set(await store.grant_tasks(asked, TTL, 3)) == {"left"}
    await store.end_lease(LeaseId("b"), 4)
    now = (await store.books([ANN])).members[0]
    assert await store.put_account(replace(now, enabled=True, state=AccountState.ACCOUNT_STATE_EXPIRED))
    assert await store.grant_tasks(asked, TTL, 5) == {}


async def test_many_tasks_end_in_one_step_with_their_leases(store: AnyStore, other: AnyStore) -> None:
    for name in ("one", "two", "ended"):
        assert await granted(store, name)
        assert await store.record_task(task(name), LeaseId(name))
        await store.end_lease(LeaseId(name), 2)
    asked = {TaskId(name): lease(f"stop {name}") for name in ("one", "two", "ended")}
    assert set(await store.grant_tasks(asked, TTL, 3)) == set(asked)
    await other.end_task(TaskId("ended"), 4)
    assert await granted(other, "new"), "its slot is free, though a lease is on it"
    ended = {task_id: LeaseId(asked[task_id].lease_id) for task_id in asked}
    await store.end_tasks(ended, 5)
    await store.end_tasks(ended, 6)
    await store.end_tasks({}, 7)
    assert set(await leases(other)) == {"new"}
    assert await busy_tasks(other) == {}
    for task_id in asked:
        assert await state_of(store, task_id) == TaskState.TASK_STATE_ENDED
        assert await granted(other, f"on {task_id}", task_id) is None
    assert await granted(other, "second")
    assert await granted(other, "third")
    assert await granted(other, "fourth") is None, "the slot that was taken meanwhile stays taken"
