"""T-B5, T-B7: callers and operators do everything at once, at two replicas; afterwards nothing is stuck.

Leases, turns on leases that callers hold, tasks and cancellations, while accounts are disabled, removed,
imported anew, cooled, and lose their sessions: what `test_pool_processes.py` does to processes, to accounts.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, Lease
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.errors import ServiceError
from server.pool.account import AccountId, Credentials, TaskId
from server.pool.pool import Pool
from server.pool.terms import Terms
from server.store.open import AnyStore, store_at
from tests.support.keys import ring
from tests.support.pool_storm import seconds
from tests.unit.pool.stand_in import SHARED, Platform, take

TERMS = Terms(slots=2, ttl=1.5, renew=0.4, margin=0.3, reclaim=0.4)
NAMES = ("ann", "bob", "cat")
CALLERS = 24
E = ErrorReason
FAILURES = (
    E.ERROR_REASON_SESSION_EXPIRED,
    E.ERROR_REASON_RATE_LIMITED,
    E.ERROR_REASON_HOST_UNAVAILABLE,
    E.ERROR_REASON_MODEL_ACCESS_DENIED,
)
FULL = ServiceError(E.ERROR_REASON_CONCURRENCY_LIMIT, "full")


class Chaos:
    """Two replicas of a pool, and what is done to them."""

    def __init__(self, store: AnyStore, pools: Sequence[Pool], platform: Platform) -> None:
        self.store = store
        self.pools = pools
        self.platform = platform
        self.count = 0
        self.claimed_now: set[str] = set()
        self.ends: set[str] = set()

    @property
    def pool(self) -> Pool:
        """Either."""
        return random.choice(self.pools)

    async def caller(self) -> None:
        """Take and give back leases for ever, now and then with no patience at all."""
        while True:
            act = random.choice([self.turn, self.turn, self.held, self.call, self.next_turn])
            try:
                async with asyncio.timeout(random.choice([0.02, 0.2, 5.0])):
                    await act()
                self.ends.add(act.__name__)
            except ServiceError as error:
                self.ends.add(E.Name(error.reason))
            except TimeoutError:
                pass
            await asyncio.sleep(random.random() * 0.01)

    def task(self) -> Task:
        self.count += 1
        return Task(task_id=f"task-{self.count}")

    async def turn(self) -> None:
        pool, task = self.pool, self.task()
        place = pool.place(random.randrange(2))
        lease = await take(pool, wait=random.choice([0.0, 0.1, 3.0]), place=place)
        ended, refusal = TaskId(""), None
        try:
            await asyncio.sleep(random.random() * 0.02)
            pool.fence(lease).check()
            if random.random() < 0.5:
                await pool.record_task(task, lease)
                ended = TaskId(task.task_id if random.random() < 0.5 else "")
            elif random.random() < 0.1:
                refusal = FULL
        finally:
            await pool.give_back(lease, ended_task=ended, refusal=refusal)

    async def held(self) -> None:
        """A turn on a lease of the caller's own, at whichever replica."""
        lease = await take(self.pool, wait=random.choice([0.0, 1.0]), ttl=random.choice([0.3, 1.0, 5.0]))
        key = (lease.lease_id, lease.token)
        try:
            turns = [self.claimed(self.pool, lease) for _ in range(random.choice([1, 1, 1, 2]))]
            await asyncio.gather(*turns)  # of two the other one may run on
            await self.pool.renew(*key, 1.0)
        finally:
            if random.random() < 0.8:
                await self.pool.release(*key)

    async def claimed(self, pool: Pool, lease: Lease) -> None:
        self.count += 1
        turn_id = f"turn-{self.count}"
        claimed = await pool.claim(lease.lease_id, lease.token, TaskId(""), turn_id)
        self.ends.add("claimed")
        assert lease.lease_id not in self.claimed_now, "two turns run on one lease"
        self.claimed_now.add(lease.lease_id)
        try:
            pool.fence(claimed).check()
            await pool.record_task(self.task(), claimed)
            await asyncio.sleep(random.random() * 0.3)
        finally:
            self.claimed_now.remove(lease.lease_id)
            await pool.unclaim(lease.lease_id, turn_id)

    async def call(self) -> None:
        await take(self.pool, wait=0.1, mode=SHARED, ttl=1.0)

    async def next_turn(self) -> None:
        pool = self.pool
        tasks = list(pool._desk.board.tasks)
        if tasks:
            await pool.give_back(await take(pool, wait=0.1, task_id=random.choice(tasks)))

    async def operator(self) -> None:
        """Do to the accounts whatever can be done, for ever."""
        while True:
            await asyncio.sleep(random.random() * 0.1)
            with suppress(ServiceError):
                await self.meddle(random.choice([AccountId(one.account_id) for one in self.pool._accounts()]))

    async def meddle(self, account_id: AccountId) -> None:
        match random.randrange(10):
            case 0:
                await self.pool.disable_account(account_id)
            case 1:
                await self.pool.remove_account(account_id)
                await self.import_all()
            case 2:
                self.platform.sessions.clear()
            case 3 | 4:
                failure = ServiceError(random.choice(FAILURES), "no", retry_after=random.random() * 0.3)
                pool = self.pool
                await pool.report(account_id, failure, "model", pool.session(account_id))
            case 5:
                await self.pool.reset_cooldown(account_id)
            case 6:
                await self.pool.check_account(account_id)
            case _:
                await self.pool.enable_account(account_id)

    async def import_all(self) -> None:
        """Give every user a session and, where there is none, an account."""
        for name in NAMES:
            given = Credentials(f"{name}@example.com", "password", self.platform.user(name))
            await self.pool.import_account(given)

    async def mend(self) -> None:
        """Bring every account back, and wait for what lapses by itself."""
        async with asyncio.timeout(60):
            while (await self.store.books()).leases or not all(map(well, self.pools)):
                with suppress(ServiceError):  # a removal that was begun is carried out meanwhile
                    await self.bring_back()
                await asyncio.sleep(0.05)

    async def bring_back(self) -> None:
        await self.import_all()
        for pool in self.pools:
            for account in await pool.accounts():
                await pool.enable_account(AccountId(account.account_id))
            for named in ("", *(account.account_id for account in await pool.accounts())):
                await pool.reset_cooldown(AccountId(named))


def well(pool: Pool) -> bool:
    """All accounts of a pool are there and can be granted, no lease and no closed slot is left."""
    board, states = pool._desk.board, [one.state for one in pool._accounts()]
    active = states == [AccountState.ACCOUNT_STATE_ACTIVE] * len(NAMES)
    orphans = any(task.orphaned for task in board.tasks.values())
    closed = any(seat.closed or seat.withheld for seat in board.seats.values())
    return active and not board.leases and not orphans and not closed


@pytest.fixture
async def chaos(url: str) -> AsyncIterator[Chaos]:
    """Open two replicas."""
    platform = Platform()
    platform.passwords = {f"{name}@example.com": "password" for name in NAMES}
    async with AsyncExitStack() as stack:
        pools = []
        for _ in range(2):
            store = await stack.enter_async_context(store_at(url, ring(), TERMS.slots, TERMS.reclaim))
            pool = Pool(store, platform, evict=platform.stop, terms=TERMS)
            pools.append(await stack.enter_async_context(pool))
        yield Chaos(store, pools, platform)


async def test_nothing_is_stuck_after_chaos(chaos: Chaos, monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("LOGIN_PAUSE", "LOGIN_BACKOFF"):
        monkeypatch.setattr(f"server.pool.logins.{pause}", 0.3)
    monkeypatch.setattr("server.pool.tasks.SLOT_CLOSED", 0.3)
    await chaos.import_all()
    work = [asyncio.create_task(chaos.caller()) for _ in range(CALLERS)]
    work.append(asyncio.create_task(chaos.operator()))
    ended, _ = await asyncio.wait(work, timeout=seconds() / 6, return_when=asyncio.FIRST_EXCEPTION)
    for task in work:
        task.cancel()
    results = await asyncio.gather(*work, return_exceptions=True)
    assert not ended, results
    assert {"turn", "claimed", "call", "ERROR_REASON_POOL_EXHAUSTED"} <= chaos.ends, "it was busy"
    await chaos.mend()
    assert [len(pool._queue) for pool in chaos.pools] == [0, 0]
    assert await chaos.store.tasks(TaskState.TASK_STATE_RUNNING, "", 10) == []
    idle = await chaos.store.tasks(TaskState.TASK_STATE_IDLE, "", 1000)
    assert {task.task_id for task in idle} == set(chaos.pools[0]._desk.board.tasks)
    slots = TERMS.slots * len(NAMES)
    takes = (take(chaos.pools[number % 2], wait=30, ttl=60) for number in range(slots))
    assert len({lease.token for lease in await asyncio.gather(*takes)}) >= slots / len(NAMES)
    books = await chaos.store.books()
    assert len(books.leases) == slots
    assert books.tasks == [], "each made room"
