"""What every store must do for replicas that share it: accounts."""

import asyncio
from dataclasses import replace

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState
from howler.task.v1.task_service_pb2 import TaskState

from server.pool.account import AccountId, LeaseId, Member
from server.store.open import AnyStore
from tests.store.records import (
    ANN,
    BOB,
    NO_TASK,
    SECONDS,
    TTL,
    cooldown,
    granted,
    lease,
    member,
    state_of,
    task,
)


async def test_accounts_come_back_as_they_were(store: AnyStore, other: AnyStore) -> None:
    full = Member(
        account_id=ANN,
        email="a@b.c",
        user_id="u",
        name="Ann",
        cookie="new",
        password="pass",
        offer="digest",
        state=AccountState.ACCOUNT_STATE_EXPIRED,
        reason=ErrorReason.ERROR_REASON_LOGIN_FAILED,
        enabled=False,
        slots=3,
        failed_logins=2,
        session_us=1 << 52,
        session_dated=True,
        create_us=5,
    )
    assert await store.put_account(full)
    assert (await other.books()).members == [replace(full, version=1), member(BOB)]
    assert (await other.books([BOB])).members == [member(BOB)]
    assert (await other.books([])).members == []


async def test_who_writes_an_old_version_writes_nothing(store: AnyStore, other: AnyStore) -> None:
    before = (await other.books([ANN])).members[0]
    assert await store.put_account(replace(before, name="first"))
    assert not await other.put_account(replace(before, name="second"))
    now = (await other.books([ANN])).members[0]
    assert (now.name, now.version) == ("first", before.version + 1)
    assert await other.put_account(replace(now, name="second"))
    assert not await store.put_account(member(AccountId("acc_unknown")))


async def test_two_writers_at_once_are_one_after_the_other(store: AnyStore, other: AnyStore) -> None:
    before = (await other.books([ANN])).members[0]
    both = await asyncio.gather(
        store.put_account(replace(before, name="s")), other.put_account(replace(before, name="o"))
    )
    assert sorted(both) == [False, True]


async def test_a_user_has_one_account(store: AnyStore, other: AnyStore) -> None:
    cyd, dan = AccountId("acc_cyd"), AccountId("acc_dan")
    assert await store.add_account(replace(member(cyd), user_id="u"))
    assert not await other.add_account(replace(member(dan), user_id="u"))
    assert not await other.put_account(replace(member(ANN), user_id="u"))
    assert [kept.account_id for kept in (await store.books()).members] == [ANN, BOB, cyd]
    assert await other.add_account(member(dan)), "no user is known of many accounts"


async def test_putting_an_account_leaves_its_token_and_its_use_alone(store: AnyStore) -> None:
    assert await store.grant(lease("l1"), NO_TASK, TTL, 77) == 1
    assert await store.put_account(member(ANN))
    assert await store.grant(lease("l2"), NO_TASK, TTL, 78) == 2
    assert (await store.books()).members[0].last_used_us == 78


async def test_removing_an_account_ends_what_it_has(store: AnyStore, other: AnyStore) -> None:
    await granted(store, "l1")
    await store.record_task(task("t1"), LeaseId("l1"))
    await granted(store, "l2")
    await store.cool(ANN, cooldown("QUOTA_EXHAUSTED"), 60)
    await other.remove_account(ANN, 5)
    assert await state_of(store, "t1") == TaskState.TASK_STATE_ENDED
    assert await store.lease_token(LeaseId("l1")) == 1
    assert await store.renew({LeaseId("l1"): TTL, LeaseId("l2"): TTL}) == frozenset()
    books = await store.books()
    assert ([kept.account_id for kept in books.members], books.leases, books.cooldowns) == ([BOB], [], [])
    assert await granted(store, "l3") is None
    assert not await store.record_task(task("t2"), LeaseId("l2"))
    assert await state_of(other, "t2") == TaskState.TASK_STATE_ENDED, "nobody could use it, or stop it"
    await other.remove_account(ANN, 6)


async def test_one_replica_logs_in(store: AnyStore, other: AnyStore) -> None:
    claims = await asyncio.gather(*(each.claim_login(ANN, 0.3) for each in (store, other, store, other)))
    assert claims.count(True) == 1
    assert await other.claim_login(BOB, 60)
    async with asyncio.timeout(SECONDS):
        while not await other.claim_login(ANN, 60):
            await asyncio.sleep(0.02)
    assert not await store.claim_login(ANN, 0)
