"""What every store must do: the Ledger for replicas that share it, and TaskService's reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, Cooldown, CooldownScope, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Books, Holding
from server.pool.show import timestamp
from server.store.open import AnyStore, store_at
from server.store.pages import TaskCursor
from tests.support.keys import ring

ANN, BOB, PLATFORM = AccountId("acc_ann"), AccountId("acc_bob"), AccountId("")
EXCLUSIVE, SHARED = LeaseMode.LEASE_MODE_EXCLUSIVE, LeaseMode.LEASE_MODE_SHARED
NO_TASK, NO_LEASE = TaskId(""), LeaseId("")
TTL, RECLAIM = 60.0, 0.1
SLOTS = 3
SECONDS = 20.0  # a test that waits for longer has failed


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/howler.db"
    named: str = request.getfixturevalue("postgres_url")
    return named


@pytest.fixture
async def replicas(url: str) -> AsyncIterator[Callable[[], AnyStore]]:
    """Give the two replicas that are open, one per call; then begin anew."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(url)) for _ in range(2)]
        for account_id in (ANN, BOB):
            assert await stores[0].add_account(member(account_id))
        turn = iter(range(1000))
        yield lambda: stores[next(turn) % 2]


@pytest.fixture
def store(replicas: Callable[[], AnyStore]) -> AnyStore:
    """Give one replica of a database with two accounts of three slots."""
    return replicas()


@pytest.fixture
def other(replicas: Callable[[], AnyStore], store: AnyStore) -> AnyStore:
    """Give the other replica."""
    return replicas()


def opened(url: str) -> AnyStore:
    return store_at(url, ring(), SLOTS, RECLAIM)


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


def cooldown(reason: str, model: str = "", scope: CooldownScope | None = None) -> Cooldown:
    usual = CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL if model else CooldownScope.COOLDOWN_SCOPE_ACCOUNT
    return Cooldown(reason=reason, scope=scope or usual, until_time=timestamp(7), upstream_model_id=model)


async def granted(store: AnyStore, lease_id: str, task_id: str = "", ttl: float = TTL) -> int | None:
    return await store.grant(lease(lease_id), TaskId(task_id), ttl, 1)


async def fill(store: AnyStore, account_id: AccountId = ANN) -> None:
    """Lease every slot of an account: `full0` and so on."""
    for number in range(SLOTS):
        assert await store.grant(lease(f"full{number}", account_id), NO_TASK, TTL, 1)


async def state_of(store: AnyStore, task_id: str) -> TaskState:
    found = await store.task(TaskId(task_id))
    assert found is not None
    return found.state


async def busy_tasks(store: AnyStore) -> dict[str, bool]:
    return {work.task.task_id: work.busy for work in (await store.books()).tasks}


async def leases(store: AnyStore) -> dict[str, Holding]:
    return {holding.lease.lease_id: holding for holding in (await store.books()).leases}


# Accounts.


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
    await other.remove_account(ANN, 6)


async def test_one_replica_logs_in(store: AnyStore, other: AnyStore) -> None:
    claims = await asyncio.gather(*(each.claim_login(ANN, 0.3) for each in (store, other, store, other)))
    assert claims.count(True) == 1
    assert await other.claim_login(BOB, 60)
    async with asyncio.timeout(SECONDS):
        while not await other.claim_login(ANN, 60):
            await asyncio.sleep(0.02)
    assert not await store.claim_login(ANN, 0)


# Slots.


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


# Leases.


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


async def test_a_lease_is_taken_over_from_another_replica(store: AnyStore, other: AnyStore) -> None:
    for lease_id in ("idle", "turn", "lapsed"):
        await granted(store, lease_id, ttl=30)
    await store.record_task(task("t1"), LeaseId("turn"))
    await store.renew({LeaseId("lapsed"): 0})
    left = await other.adopt(LeaseId("idle"))
    assert left is not None
    assert 20 < left <= 30
    assert await other.adopt(LeaseId("turn")) is None, "a turn runs on its task"
    assert await other.adopt(LeaseId("lapsed")) is None
    assert await other.adopt(LeaseId("unknown")) is None
    await store.rest_task(TaskId("t1"), 5)
    assert await other.adopt(LeaseId("turn")) is not None
    held = await leases(store)
    assert [held[name].replica for name in ("idle", "turn", "lapsed")] == [
        other.replica,
        other.replica,
        store.replica,
    ]
    assert held["turn"].task_id == "t1"


async def test_tokens_of_leases_are_remembered(store: AnyStore, other: AnyStore) -> None:
    await granted(store, "l1")
    await granted(store, "l2")
    await store.end_lease(LeaseId("l1"), 10**15)
    assert [await other.lease_token(LeaseId(name)) for name in ("l1", "l2", "l3")] == [1, 2, None]


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


# Tasks.


async def test_states_of_a_task(store: AnyStore, other: AnyStore) -> None:
    assert await store.task(TaskId("t1")) is None
    await granted(store, "l1")
    await store.record_task(task("t1"), LeaseId("l1"))
    assert await state_of(other, "t1") == TaskState.TASK_STATE_RUNNING
    await store.end_lease(LeaseId("l1"), 50)
    assert await state_of(other, "t1") == TaskState.TASK_STATE_IDLE
    idle = await other.task(TaskId("t1"))
    assert idle == replace_task(task("t1", used_us=50), TaskState.TASK_STATE_IDLE)
    await store.touch_task(TaskId("t1"), "turn-2", 60)
    touched = await other.task(TaskId("t1"))
    assert touched is not None
    assert (touched.turn_id, touched.last_used_time.ToMicroseconds()) == ("turn-2", 60)
    assert touched.state == TaskState.TASK_STATE_RUNNING
    assert await busy_tasks(other) == {"t1": True}
    await store.rest_task(TaskId("t1"), 65)
    assert await busy_tasks(other) == {"t1": False}
    await store.end_task(TaskId("t1"), 70)
    await store.end_task(TaskId("t1"), 80)
    assert await state_of(other, "t1") == TaskState.TASK_STATE_ENDED
    assert await busy_tasks(other) == {}


def replace_task(of: Task, state: TaskState) -> Task:
    of.state = state
    return of


async def test_tasks_are_listed_by_last_use_in_pages(store: AnyStore) -> None:
    for number in range(10):
        await store.record_task(task(f"t{number}", number // 2, "ab"[number % 2]), NO_LEASE)
        await store.rest_task(TaskId(f"t{number}"), number // 2)
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
    books = await store.books([ANN])
    assert [work.task.task_id for work in books.tasks] == [f"t{number}" for number in range(9)]


# Cooldowns.


async def test_cooldowns_by_scope_and_model(store: AnyStore, other: AnyStore) -> None:
    everywhere = CooldownScope.COOLDOWN_SCOPE_UPSTREAM
    await store.cool(ANN, cooldown("CONCURRENCY_LIMIT"), 50)
    await other.cool(ANN, cooldown("QUOTA_EXHAUSTED"), 60)
    await store.cool(ANN, cooldown("MODEL_ACCESS_DENIED", "m1"), 70)
    await store.cool(ANN, cooldown("MODEL_ACCESS_DENIED", "m2"), 80)
    await store.cool(BOB, cooldown("QUOTA_EXHAUSTED"), 90)
    await store.cool(PLATFORM, cooldown("UPSTREAM_UNAVAILABLE", scope=everywhere), 100)
    await other.uncool(ANN, cooldown("", "m1"))
    await other.uncool(BOB, cooldown("", "m1"))
    platform = (PLATFORM, cooldown("UPSTREAM_UNAVAILABLE", scope=everywhere), 100)
    of_ann = [
        (ANN, cooldown("QUOTA_EXHAUSTED"), 60),
        (ANN, cooldown("MODEL_ACCESS_DENIED", "m2"), 80),
    ]
    of_bob = [(BOB, cooldown("QUOTA_EXHAUSTED"), 90)]
    check(await other.books(), [*of_ann, *of_bob, platform])
    check(await other.books([ANN]), [*of_ann, platform])
    check(await other.books([PLATFORM]), [platform])


def check(books: Books, told: list[tuple[AccountId, Cooldown, int]]) -> None:
    assert len(books.cooldowns) == len(told)
    for cold, (account_id, cooling, seconds) in zip(
        sorted(books.cooldowns, key=lambda one: one.left), told, strict=True
    ):
        assert (cold.account_id, cold.cooldown) == (account_id, cooling)
        assert seconds - 5 < cold.left <= seconds


async def test_a_cooldown_that_is_over_is_dropped(store: AnyStore, other: AnyStore) -> None:
    await store.cool(BOB, cooldown("QUOTA_EXHAUSTED"), 0.05)
    async with asyncio.timeout(SECONDS):
        while (await other.books()).cooldowns:
            await asyncio.sleep(0.01)
    assert await other.reclaim() == {BOB}
    assert await store.reclaim() == frozenset()


# Replicas.


class Heard:
    """What a replica was told."""

    def __init__(self, store: AnyStore) -> None:
        self._news: set[AccountId] = set()
        store.listen(self._hear)

    def _hear(self, accounts: frozenset[AccountId] | None) -> None:
        assert accounts is not None
        self._news |= accounts

    async def news(self, marker: AccountId, by: AnyStore) -> set[AccountId]:
        """Return what was heard before the marker, which `by` makes heard now, and forget it."""
        await by.cool(marker, cooldown("MARKER"), 60)
        async with asyncio.timeout(SECONDS):
            while marker not in self._news:
                await asyncio.sleep(0.005)
        news, self._news = self._news - {marker}, set()
        return news


async def test_replicas_hear_what_changed(store: AnyStore, other: AnyStore) -> None:
    heard, own = Heard(other), Heard(store)
    mark = iter(AccountId(f"mark{number}") for number in range(100))
    await heard.news(next(mark), store)  # of the accounts that were added before
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "add": lambda: store.add_account(member(AccountId("acc_cyd"))),
        "put": lambda: store.put_account(member(ANN)),
        "grant": lambda: granted(store, "l1"),
        "end": lambda: store.end_lease(LeaseId("l1"), 2),
        "cool": lambda: store.cool(ANN, cooldown("QUOTA_EXHAUSTED"), 60),
        "uncool": lambda: store.uncool(ANN, cooldown("")),
        "unleased task": lambda: store.record_task(task("t1"), NO_LEASE),
        "end task": lambda: store.end_task(TaskId("t1"), 3),
        "remove": lambda: store.remove_account(ANN, 4),
    }
    for name, change in changes.items():
        await change()
        told = await heard.news(next(mark), store)
        assert told == {AccountId("acc_cyd") if name == "add" else ANN}, name
    assert await own.news(next(mark), other) == set(), "what is our own is no news"


async def test_replicas_hear_nothing_of_what_changes_nothing(store: AnyStore, other: AnyStore) -> None:
    heard = Heard(other)
    await heard.news(AccountId("mark"), store)  # of the accounts that were added before
    await fill(store)
    assert await heard.news(AccountId("mark0"), store) == {ANN}
    assert await granted(store, "late") is None
    assert await store.grant(lease("shared", mode=SHARED), NO_TASK, TTL, 1)
    await store.renew({LeaseId("full0"): TTL})
    await store.end_lease(LeaseId("shared"), 2)
    await store.end_lease(LeaseId("shared"), 2)
    await store.end_task(TaskId("unknown"), 2)
    await store.uncool(ANN, cooldown(""))
    assert not await store.put_account(replace(member(ANN), version=7))
    await store.remove_account(AccountId("acc_none"), 2)
    assert await heard.news(AccountId("mark1"), store) <= {AccountId("acc_none")}


async def test_records_outlive_the_process(url: str) -> None:
    async with opened(url) as store:
        await store.add_account(member(ANN))
        await store.grant(lease("l1"), NO_TASK, TTL, 3)
        await store.record_task(task("t2", used_us=2), LeaseId("l1"))
        await store.end_lease(LeaseId("l1"), 4)
        await store.record_task(task("t1", used_us=1), NO_LEASE)
        await store.cool(ANN, cooldown("QUOTA_EXHAUSTED"), 60)
    async with opened(url) as store:
        books = await store.books()
        assert [kept.last_used_us for kept in books.members] == [3]
        assert [(work.task.task_id, work.busy) for work in books.tasks] == [("t1", True), ("t2", False)]
        assert [cold.account_id for cold in books.cooldowns] == [ANN]
        assert await granted(store, "l2") == 2
        assert await granted(store, "l3") is None
