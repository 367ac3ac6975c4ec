"""P9: shared and exclusive leases with tokens and time limits; callers wait in line and leave no trace."""

import asyncio
import random
import time
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.errors import ServiceError
from server.pool.account import AccountId, Credentials, LeaseId, TaskId
from server.pool.terms import Terms
from server.store.errors import StoreError
from tests.unit.pool.stand_in import SHARED, Platform, give, idle_task, pool_in, take, until, with_accounts

E = ErrorReason


async def reason_of(work: object) -> ErrorReason:
    """Return the reason with which an awaitable fails."""
    with pytest.raises(ServiceError) as caught:
        await work  # type: ignore[misc]
    return caught.value.reason


async def test_without_an_account_a_caller_is_told_how_to_add_one(tmp_path: Path) -> None:
    async with pool_in(tmp_path, Platform()) as (pool, _):
        for mode in (SHARED, 2):
            with pytest.raises(
                ServiceError, match=r"HOWLER_UPSTREAM_COOKIE.*HOWLER_ACCOUNTS_FILE.*ImportAccount"
            ):
                await take(pool, mode=mode)


async def test_one_account_is_a_pool_of_one(tmp_path: Path) -> None:
    """P1.1, P1.2."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (only,) = await with_accounts(pool, platform, "ann")
        lease = await take(pool)
        assert (lease.account_id, lease.token, lease.holder) == (only, 1, "test")
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        await give(pool, lease)
        assert (await take(pool, wait=0)).token == 2


async def test_shared_leases_take_turns_and_no_slot(tmp_path: Path) -> None:
    """P9: SHARED goes to the account that was granted longest ago."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = await with_accounts(pool, platform, "a", "b", "c")
        exclusive = [await take(pool) for _ in accounts]
        shared = [(await take(pool, mode=SHARED)).account_id for _ in range(6)]
        assert shared == [lease.account_id for lease in exclusive] * 2
        assert (await pool.status()).slots_used == 3


async def test_turns_spread_by_free_share(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (big,) = await with_accounts(pool, platform, "big", slots=4)
        (small,) = await with_accounts(pool, platform, "small", slots=1)
        granted = [(await take(pool)).account_id for _ in range(5)]
        assert granted == [big, small, big, big, big]


async def test_callers_are_served_in_the_order_of_their_coming(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease, served = await take(pool), list[int]()

        async def caller(number: int) -> None:
            mine = await take(pool)
            served.append(number)
            await give(pool, mine)

        callers = []
        for number in range(50):
            callers.append(asyncio.create_task(caller(number)))
            await asyncio.sleep(0)
        await until(lambda: len(pool._queue) == 50)
        await give(pool, lease)
        await asyncio.gather(*callers)
        assert served == list(range(50))


async def test_a_picky_caller_does_not_hold_up_those_behind_it(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        one, two = await with_accounts(pool, platform, "one", "two")
        first = await take(pool, account_id=one)
        picky = asyncio.create_task(take(pool, among=frozenset([one])))
        await asyncio.sleep(0.01)
        assert (await take(pool, wait=0)).account_id == two
        await give(pool, first)
        assert (await picky).account_id == one


async def test_hundreds_of_callers_never_exceed_the_slots(tmp_path: Path) -> None:
    """T-B6, T-B7: crowds, cancellations and timeouts leave every slot free at the end."""
    platform, dice = Platform(), random.Random(7)
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "a", "b", "c", slots=2)
        inside: dict[str, int] = {}
        tokens: dict[str, list[int]] = {}

        async def caller() -> None:
            lease = await take(pool, wait=dice.choice([0.005, 5.0, 5.0]))
            try:
                inside[lease.account_id] = inside.get(lease.account_id, 0) + 1
                tokens.setdefault(lease.account_id, []).append(lease.token)
                assert inside[lease.account_id] <= 2
                await asyncio.sleep(dice.random() * 0.002)
            finally:
                inside[lease.account_id] -= 1
                await give(pool, lease)

        callers = [asyncio.create_task(caller()) for _ in range(400)]
        for victim in dice.sample(callers, 120):
            await asyncio.sleep(0.0005)
            victim.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        failures = {type(result) for result in results if result is not None}
        assert failures <= {ServiceError, asyncio.CancelledError}
        assert any(result is None for result in results)
        await until(lambda: not pool._desk.board.leases)
        status = await pool.status()
        assert (status.slots_used, status.waiting) == (0, 0)
        assert all(len(set(seen)) == len(seen) for seen in tokens.values())
        assert len(await asyncio.gather(*(take(pool, wait=0) for _ in range(6)))) == 6


async def test_a_grant_that_meets_its_callers_cancellation_is_given_back(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        for steps in range(12):  # cancel at every await there is
            caller = asyncio.create_task(take(pool))
            for _ in range(steps):
                await asyncio.sleep(0)
            caller.cancel()
            (result,) = await asyncio.gather(caller, return_exceptions=True)
            if not isinstance(result, BaseException):
                await give(pool, result)
            await give(pool, await take(pool, wait=2))


async def test_a_lease_lapses_by_itself_and_wakes_who_waits(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lost = await take(pool, ttl=0.05)
        heir = await take(pool, wait=5)
        assert heir.token > lost.token
        for work in (pool.renew(lost.lease_id, lost.token), pool.lease(lost.lease_id, lost.token)):
            assert await reason_of(work) == E.ERROR_REASON_LEASE_LOST
        await give(pool, lost)  # no error
        assert (await pool.lease(heir.lease_id, heir.token)).lease_id == heir.lease_id


async def test_renewing_keeps_a_lease(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool, ttl=0.1)
        renewed = await pool.renew(lease.lease_id, lease.token, 60)
        assert renewed.expire_time.ToMicroseconds() > lease.expire_time.ToMicroseconds()
        assert await reason_of(take(pool, wait=0.2)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert (await pool.lease(lease.lease_id, lease.token)).token == lease.token


async def test_another_token_is_no_key(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool)
        for lease_id, token in ((lease.lease_id, lease.token + 1), ("lease_none", 1)):
            for work in (pool.renew(lease_id, token), pool.release(lease_id, token)):
                assert await reason_of(work) == E.ERROR_REASON_LEASE_NOT_FOUND
        await give(pool, lease)
        assert await reason_of(pool.release(lease.lease_id, 99)) == E.ERROR_REASON_LEASE_NOT_FOUND


async def test_avoiding_all_accounts_fails_at_once(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        accounts = await with_accounts(pool, platform, "a", "b")
        assert await reason_of(take(pool, avoid=frozenset(accounts))) == E.ERROR_REASON_POOL_EXHAUSTED
        assert await reason_of(take(pool, among=frozenset())) == E.ERROR_REASON_NO_ACCOUNT
        assert await reason_of(take(pool, account_id=AccountId("acc_x"))) == E.ERROR_REASON_NO_ACCOUNT


async def test_a_task_takes_the_slot_over(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann", slots=2)
        lease = await take(pool)
        await pool.record_task(Task(task_id="t"), lease)
        assert (await pool.status()).slots_used == 1
        task = await store.task(TaskId("t"))
        assert task is not None
        assert (task.state, task.account_id) == (TaskState.TASK_STATE_RUNNING, lease.account_id)
        assert await reason_of(take(pool, task_id="t")) == E.ERROR_REASON_TASK_BUSY
        await give(pool, lease)
        again = await take(pool, task_id="t", wait=0)
        await pool.touch_task(TaskId("t"), turn_id="second")
        assert (await pool.status()).slots_used == 1
        task = await store.task(TaskId("t"))
        assert task is not None
        assert task.turn_id == "second"
        await give(pool, again)
        await pool.task_ended(TaskId("t"))
        await pool.task_ended(TaskId("t"))
        assert (await pool.status()).slots_used == 0
        assert await reason_of(take(pool, task_id="t")) == E.ERROR_REASON_TASK_ENDED
        assert await reason_of(take(pool, task_id="none")) == E.ERROR_REASON_TASK_NOT_FOUND


async def test_a_task_made_under_a_lost_lease_is_recorded_all_the_same(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann", slots=2)
        lease = await take(pool)
        await give(pool, lease)
        assert await reason_of(pool.record_task(Task(task_id="t"), lease)) == E.ERROR_REASON_LEASE_LOST
        await until(lambda: platform.stopped == ["t"])  # its turn runs on nobody's account
        await until(lambda: not pool._desk.board.tasks)
        task = await store.task(TaskId("t"))
        assert task is not None
        assert task.state == TaskState.TASK_STATE_ENDED
        assert (await pool.status()).slots_used == 0


async def test_the_task_idle_longest_makes_room(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann", slots=3)
        for name in ("old", "mid", "new"):
            await idle_task(pool, name)
        await give(pool, await take(pool, task_id="old"))  # used again: now "mid" is idle longest
        lease = await take(pool)
        assert platform.stopped == ["mid"]
        task = await store.task(TaskId("mid"))
        assert task is not None
        assert task.state == TaskState.TASK_STATE_ENDED
        await give(pool, lease)


async def test_one_task_is_stopped_per_caller(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=4)
        for number in range(4):
            await idle_task(pool, f"t{number}")
        platform.gate.clear()
        callers = [asyncio.create_task(take(pool)) for _ in range(2)]
        await until(lambda: sum(task.evicting for task in pool._desk.board.tasks.values()) == 2)
        assert await reason_of(take(pool, task_id="t0")) == E.ERROR_REASON_TASK_ENDED
        platform.gate.set()
        await asyncio.gather(*callers)
        assert sorted(platform.stopped) == ["t0", "t1"]


async def test_of_tasks_that_are_stopped_together_each_ends_or_stays_by_itself(tmp_path: Path) -> None:
    platform = Platform()
    platform.unstoppable = {"t1"}
    async with pool_in(tmp_path, platform, Terms(free_slots=3)) as (pool, store):
        await with_accounts(pool, platform, "ann", slots=4)
        leases = [await take(pool) for _ in range(4)]
        for number, lease in enumerate(leases):
            await pool.record_task(Task(task_id=f"t{number}"), lease)
        for lease in leases:
            await pool.give_back(lease)
        board = pool._desk.board
        await until(lambda: set(board.tasks) == {"t1"} and not board.leases)
        await until(lambda: not board.stopping)
        assert sorted(platform.stopped) == ["t0", "t2", "t3"]
        assert not board.tasks[TaskId("t1")].evicting
        books = await store.books()
        assert ([work.task.task_id for work in books.tasks], books.leases) == (["t1"], [])


async def test_a_caller_that_leaves_while_it_gives_back_leaves_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool)
        await pool.record_task(Task(task_id="t"), lease)
        end_lease, calls = store.end_lease, list[LeaseId]()

        async def slow_at_first(lease_id: LeaseId, now_us: int, **more: object) -> None:
            calls.append(lease_id)
            if len(calls) == 1:
                await asyncio.Event().wait()
            await end_lease(lease_id, now_us, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "end_lease", slow_at_first)
        giving = asyncio.create_task(pool.give_back(lease))
        await until(lambda: calls)
        giving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await giving
        await until(lambda: not pool._desk.board.leases)
        books = await store.books()
        assert (books.leases, [work.busy for work in books.tasks]) == ([], [False])


async def test_a_stopped_task_ends_later_where_the_ledger_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann")
        await idle_task(pool, "t")

        async def away(leases: object, now_us: int) -> None:
            raise StoreError("away")

        monkeypatch.setattr(store, "end_tasks", away)
        assert (await take(pool, wait=20)).token
        assert platform.stopped == ["t"]
        assert not (await store.books()).tasks


async def test_a_task_that_becomes_idle_makes_room_for_who_waits(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        lease = await take(pool)
        await pool.record_task(Task(task_id="t"), lease)
        waiting = asyncio.create_task(take(pool))
        await until(lambda: len(pool._queue) == 1)
        assert platform.stopped == []
        await give(pool, lease)
        assert (await waiting).account_id == lease.account_id
        assert platform.stopped == ["t"]


async def test_a_task_that_cannot_be_stopped_is_not_tried_again_at_once(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        await idle_task(pool, "t")
        platform.evict_error = ServiceError(E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
        assert await reason_of(take(pool, wait=0.05)) == E.ERROR_REASON_POOL_EXHAUSTED
        platform.evict_error = None
        assert await reason_of(take(pool, wait=0.05)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert platform.stopped == []
        assert (await take(pool, task_id="t", wait=0)).token


async def test_after_a_restart_leases_are_void_and_tasks_idle(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann", slots=2)
        await idle_task(pool, "t")
        lease = await take(pool)
    async with pool_in(tmp_path, platform) as (pool, _):
        assert (await pool.status()).slots_used == 1
        assert await reason_of(pool.renew(lease.lease_id, lease.token)) == E.ERROR_REASON_LEASE_LOST
        again = await take(pool, task_id="t", wait=0)
        assert again.token > lease.token
        assert again.account_id == lease.account_id


async def test_who_waits_is_told_when_the_last_account_goes(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (only,) = await with_accounts(pool, platform, "ann")
        await take(pool)
        waiting = asyncio.create_task(take(pool, wait=30))
        await until(lambda: len(pool._queue) == 1)
        await pool.remove_account(only)
        assert await reason_of(waiting) == E.ERROR_REASON_NO_ACCOUNT


async def test_who_waits_is_served_by_a_new_account(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        await take(pool)
        waiting = asyncio.create_task(take(pool, wait=30))
        await until(lambda: len(pool._queue) == 1)
        (new,) = await with_accounts(pool, platform, "bob")
        assert (await waiting).account_id == new


async def test_closing_refuses_who_waits(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        await with_accounts(pool, platform, "ann")
        await take(pool)
        waiting = asyncio.create_task(take(pool, wait=30))
        await until(lambda: len(pool._queue) == 1)
    assert await reason_of(waiting) == E.ERROR_REASON_SHUTTING_DOWN


async def test_an_account_being_logged_in_is_waited_for(tmp_path: Path) -> None:
    platform = Platform()
    platform.passwords["ann@example.com"] = "secret"
    platform.gate.clear()
    async with pool_in(tmp_path, platform) as (pool, _):
        await pool.register([Credentials(email="ann@example.com", password="secret")])
        waiting = [asyncio.create_task(take(pool, mode=mode)) for mode in (SHARED, 2)]
        await until(lambda: len(pool._queue) == 2)
        platform.gate.set()
        await asyncio.gather(*waiting)
        assert platform.logins["ann@example.com"] == 1


async def test_a_lease_carries_one_task(tmp_path: Path) -> None:
    """A second one is recorded, counted and stopped; the first keeps the lease and its slot."""
    platform = Platform()
    platform.gate.clear()
    async with pool_in(tmp_path, platform) as (pool, store):
        await with_accounts(pool, platform, "ann", slots=1)
        lease = await take(pool)
        await pool.record_task(Task(task_id="t1"), lease)
        assert await reason_of(pool.record_task(Task(task_id="t2"), lease)) == E.ERROR_REASON_LEASE_LOST
        assert (await pool.status()).slots_used == 2
        platform.gate.set()
        await until(lambda: platform.stopped == ["t2"])
        await until(lambda: pool._accounts()[0].slots_used == 1)
        await give(pool, lease)
        (idle,) = await store.tasks(TaskState.TASK_STATE_IDLE, "", 9)
        assert idle.task_id == "t1"


async def test_what_time_opens_goes_to_who_waited_for_it(tmp_path: Path) -> None:
    """Strict order within a replica, also where a busy loop has not yet heard that a cooldown is over."""
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        (ann,) = await with_accounts(pool, platform, "ann")
        await pool.report(ann, ServiceError(E.ERROR_REASON_RATE_LIMITED, "slow down", retry_after=0.1))
        first = asyncio.create_task(take(pool))
        await until(lambda: len(pool._queue) == 1)
        time.sleep(0.12)  # noqa: ASYNC251 -- the loop is busy with something else
        assert await reason_of(take(pool, wait=0)) == E.ERROR_REASON_POOL_EXHAUSTED
        assert (await first).account_id == ann


async def test_what_is_over_while_the_alarm_rings_rings_it_again(tmp_path: Path) -> None:
    platform = Platform()
    async with pool_in(tmp_path, platform) as (pool, _):
        ann, bob = await with_accounts(pool, platform, "ann", "bob")
        cooldowns = pool._health.cooldowns
        expire = cooldowns.expire

        def slowly(now: float) -> None:
            expire(now)
            time.sleep(0.04)  # the other cooldown is over now

        cooldowns.expire = slowly  # type: ignore[method-assign]
        for account, seconds in ((ann, 0.1), (bob, 0.12)):
            throttled = ServiceError(E.ERROR_REASON_RATE_LIMITED, "slow down", retry_after=seconds)
            await pool.report(account, throttled)
        assert {(await take(pool, account_id=account)).account_id for account in (ann, bob)} == {ann, bob}
