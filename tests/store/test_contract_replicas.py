"""What every store must do for replicas that share it: cooldowns, and what replicas hear of each other."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope

from server.pool.account import AccountId, LeaseId, TaskId
from server.pool.ledger import Books
from server.store.open import AnyStore
from tests.store.records import (
    ANN,
    BOB,
    NO_LEASE,
    NO_TASK,
    PLATFORM,
    SECONDS,
    SHARED,
    TTL,
    cooldown,
    fill,
    granted,
    lease,
    member,
    opened,
    task,
)


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
    await granted(store, "l2")
    await granted(other, "other")
    await heard.news(next(mark), store)  # of what was done before
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "add": lambda: store.add_account(member(AccountId("acc_cyd"))),
        "put": lambda: store.put_account(member(ANN)),
        "grant": lambda: granted(store, "l1"),
        "end": lambda: store.end_lease(LeaseId("l1"), 2),
        "another's is renewed": lambda: store.renew({LeaseId("other"): 0}),
        "claim": lambda: store.claim(LeaseId("l2"), NO_TASK, "turn"),
        "release": lambda: store.release(LeaseId("l2"), 2),
        "lapse": lambda: store.lapse(LeaseId("l2"), 2),
        "cool": lambda: store.cool(ANN, cooldown("QUOTA_EXHAUSTED"), 60),
        "uncool": lambda: store.uncool(ANN, cooldown("")),
        "unleased task": lambda: store.record_task(task("t1"), NO_LEASE),
        "end task": lambda: store.end_task(TaskId("t1"), 3),
        "unleased task again": lambda: store.record_task(task("t2"), NO_LEASE),
        "grant tasks": lambda: store.grant_tasks({TaskId("t2"): lease("l3")}, TTL, 3),
        "end tasks": lambda: store.end_tasks({TaskId("t2"): LeaseId("l3")}, 3),
        "remove": lambda: store.remove_account(ANN, 4),
    }
    for name, change in changes.items():
        await change()
        told = await heard.news(next(mark), store)
        assert told == {AccountId("acc_cyd") if name == "add" else ANN}, name
    assert await own.news(next(mark), other) == {ANN}, "the other one's grant; what is our own is no news"


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
    assert await store.grant_tasks({TaskId("unknown"): lease("none")}, TTL, 2) == {}
    await store.end_tasks({TaskId("unknown"): LeaseId("none")}, 2)
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
