"""What every store must do: the Ledger and TaskService's reads. PostgreSQL joins by a second parameter."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, Cooldown, CooldownScope, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.show import timestamp
from server.store.sqlite import LEASE_MEMORY_US, Store, TaskCursor
from tests.support.keys import ring

ANN, BOB = AccountId("acc_ann"), AccountId("acc_bob")
EXCLUSIVE, SHARED = LeaseMode.LEASE_MODE_EXCLUSIVE, LeaseMode.LEASE_MODE_SHARED
NO_TASK = TaskId("")


@pytest.fixture(params=["sqlite"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database of each kind."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path}/var/howler.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """Open a store with two accounts."""
    async with Store(url, ring()) as opened:
        for account_id in (ANN, BOB):
            await opened.add_account(member(account_id))
        yield opened


def member(account_id: AccountId) -> Member:
    return Member(account_id, cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE, create_us=5)


def lease(lease_id: str, account_id: AccountId = ANN, mode: LeaseMode = EXCLUSIVE) -> Lease:
    return Lease(lease_id=lease_id, account_id=account_id, mode=mode, holder="h", purpose="p")


def task(task_id: str, used_us: int = 1, principal: str = "", account_id: AccountId = ANN) -> Task:
    return Task(
        task_id=task_id,
        account_id=account_id,
        model="m",
        principal=principal,
        turn_id="turn",
        create_time=timestamp(1),
        last_used_time=timestamp(used_us),
    )


async def test_accounts_come_back_as_they_were(store: Store) -> None:
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
        create_us=5,
    )
    await store.put_account(full)
    books = await store.open_books(1)
    assert books.members == [full, member(BOB)]


async def test_putting_an_account_leaves_its_token_and_its_use_alone(store: Store) -> None:
    assert await store.grant(lease("l1"), 2, NO_TASK, 77) == 1
    await store.put_account(member(ANN))
    assert await store.grant(lease("l2"), 2, NO_TASK, 78) == 2
    assert (await store.open_books(99)).members[0].last_used_us == 78


async def test_no_more_exclusive_leases_than_slots(store: Store) -> None:
    grants = await asyncio.gather(*(store.grant(lease(f"l{n}"), 3, NO_TASK, n) for n in range(200)))
    assert [token for token in grants if token is not None] == [1, 2, 3]
    assert await store.grant(lease("other", BOB), 3, NO_TASK, 1) == 1
    assert await store.grant(lease("shared", mode=SHARED), 3, NO_TASK, 1) == 4
    await store.end_lease(LeaseId("l0"), 5)
    assert await store.grant(lease("next"), 3, NO_TASK, 6) == 5


async def test_a_task_holds_the_slot_until_it_ends(store: Store) -> None:
    assert await store.grant(lease("l1"), 1, NO_TASK, 1)
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await store.grant(lease("l2"), 1, NO_TASK, 2) is None
    await store.end_lease(LeaseId("l1"), 3)
    assert await store.grant(lease("l2"), 1, NO_TASK, 4) is None
    await store.end_task(TaskId("t1"), 5)
    assert await store.grant(lease("l2"), 1, NO_TASK, 6) == 2


async def test_one_live_lease_on_a_task(store: Store) -> None:
    assert await store.grant(lease("l1"), 1, NO_TASK, 1)
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await store.grant(lease("l2"), 1, TaskId("t1"), 2) is None
    await store.end_lease(LeaseId("l1"), 3)
    assert await store.grant(lease("l2"), 1, TaskId("t1"), 4) == 2
    await store.end_lease(LeaseId("l2"), 5)
    await store.end_task(TaskId("t1"), 6)
    assert await store.grant(lease("l3"), 1, TaskId("t1"), 7) is None
    assert await store.grant(lease("l3"), 1, TaskId("unknown"), 7) is None


@pytest.mark.parametrize("mode", [EXCLUSIVE, SHARED])
async def test_accounts_out_of_use_are_not_granted(store: Store, mode: LeaseMode) -> None:
    ann = member(ANN)
    out_of_use = [
        replace(ann, enabled=False),
        replace(ann, state=AccountState.ACCOUNT_STATE_EXPIRED),
        replace(ann, state=AccountState.ACCOUNT_STATE_INVALID),
    ]
    for number, changed in enumerate(out_of_use):
        await store.put_account(changed)
        assert await store.grant(lease(f"l{number}", mode=mode), 9, NO_TASK, 1) is None
    await store.put_account(replace(ann, state=AccountState.ACCOUNT_STATE_CREATED))
    assert await store.grant(lease("l", mode=mode), 9, NO_TASK, 1) == 1
    assert await store.grant(lease("x", AccountId("acc_none"), mode), 9, NO_TASK, 1) is None


async def test_states_of_a_task(store: Store) -> None:
    assert await store.task(TaskId("t1")) is None
    await store.grant(lease("l1"), 1, NO_TASK, 1)
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await state_of(store, "t1") == TaskState.TASK_STATE_RUNNING
    await store.end_lease(LeaseId("l1"), 50)
    assert await state_of(store, "t1") == TaskState.TASK_STATE_IDLE
    idle = await store.task(TaskId("t1"))
    assert idle is not None
    assert idle.last_used_time.ToMicroseconds() == 50
    await store.touch_task(TaskId("t1"), "turn-2", 60)
    touched = await store.task(TaskId("t1"))
    assert touched is not None
    assert (touched.turn_id, touched.last_used_time.ToMicroseconds()) == ("turn-2", 60)
    await store.end_task(TaskId("t1"), 70)
    await store.end_task(TaskId("t1"), 80)
    assert await state_of(store, "t1") == TaskState.TASK_STATE_ENDED


async def state_of(store: Store, task_id: str) -> TaskState:
    found = await store.task(TaskId(task_id))
    assert found is not None
    return found.state


async def test_tasks_are_listed_by_last_use_in_pages(store: Store) -> None:
    for number in range(10):
        await store.record_task(
            task(f"t{number}", used_us=number // 2, principal="ab"[number % 2]), LeaseId("")
        )
    await store.end_task(TaskId("t9"), 99)
    everything = await store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 100)
    assert [found.task_id for found in everything] == [f"t{number}" for number in reversed(range(10))]
    pages, after = list[str](), None
    while page := await store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 3, after):
        pages += [found.task_id for found in page]
        after = TaskCursor.behind(page[-1])
    assert pages == [found.task_id for found in everything]
    idle_of_b = await store.tasks(TaskState.TASK_STATE_IDLE, "b", 100)
    assert [found.task_id for found in idle_of_b] == ["t7", "t5", "t3", "t1"]
    assert [found.task_id for found in await store.tasks(TaskState.TASK_STATE_ENDED, "", 9)] == ["t9"]
    assert await store.tasks(TaskState.TASK_STATE_RUNNING, "", 9) == []


async def test_removing_an_account_ends_what_it_has(store: Store) -> None:
    await store.grant(lease("l1"), 1, NO_TASK, 1)
    await store.record_task(task("t1"), LeaseId("l1"))
    await store.cool(ANN, cooldown("QUOTA_EXHAUSTED", 900))
    await store.remove_account(ANN, 5)
    assert await state_of(store, "t1") == TaskState.TASK_STATE_ENDED
    assert await store.lease_token(LeaseId("l1")) == 1
    books = await store.open_books(1)
    assert ([kept.account_id for kept in books.members], books.cooldowns) == ([BOB], [])


def cooldown(reason: str, until_us: int, model: str = "") -> Cooldown:
    scope = CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL if model else CooldownScope.COOLDOWN_SCOPE_ACCOUNT
    return Cooldown(reason=reason, scope=scope, until_time=timestamp(until_us), upstream_model_id=model)


async def test_cooldowns_by_scope_and_model(store: Store) -> None:
    await store.cool(ANN, cooldown("CONCURRENCY_LIMIT", 500))
    await store.cool(ANN, cooldown("QUOTA_EXHAUSTED", 600))
    await store.cool(ANN, cooldown("MODEL_ACCESS_DENIED", 700, "m1"))
    await store.cool(ANN, cooldown("MODEL_ACCESS_DENIED", 800, "m2"))
    await store.cool(BOB, cooldown("QUOTA_EXHAUSTED", 50))
    await store.uncool(ANN, cooldown("", 0, "m1"))
    assert (await store.open_books(100)).cooldowns == [
        (ANN, cooldown("QUOTA_EXHAUSTED", 600)),
        (ANN, cooldown("MODEL_ACCESS_DENIED", 800, "m2")),
    ]


async def test_opening_the_books_voids_leases_and_remembers_them_for_a_while(url: str) -> None:
    async with Store(url, ring()) as store:
        await store.add_account(member(ANN))
        await store.grant(lease("old"), 3, NO_TASK, 1)
        await store.end_lease(LeaseId("old"), 2)
        await store.grant(lease("held"), 3, NO_TASK, 3)
        await store.record_task(task("t2", used_us=2), LeaseId("held"))
        await store.record_task(task("t1", used_us=1), LeaseId(""))
    async with Store(url, ring()) as store:
        books = await store.open_books(LEASE_MEMORY_US + 10)
        assert [kept.task_id for kept in books.tasks] == ["t1", "t2"]
        assert await state_of(store, "t2") == TaskState.TASK_STATE_IDLE
        assert await store.lease_token(LeaseId("old")) is None
        assert await store.lease_token(LeaseId("held")) == 2
        assert await store.grant(lease("new"), 3, NO_TASK, 5) == 3
