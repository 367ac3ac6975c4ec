"""T-B5: whatever callers of two replicas do, no slot is held twice; both boards count as the ledger does."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task, TaskState
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from server.errors import ServiceError
from server.pool.account import LeaseId, TaskId
from server.pool.pool import Pool
from tests.unit.pool.stand_in import Platform, give, pool_in, take, until, with_accounts

SLOTS = {"ann": 1, "bob": 2, "cat": 3}
WHICH = st.integers(0, 1)


class Slots(RuleBasedStateMachine):
    """Two pools on one database, three accounts, six slots; nobody waits: every step has one outcome."""

    leases = Bundle("leases")
    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.platform = Platform()
        self.count = 0
        self.tokens: dict[str, int] = {}
        self.pools: list[Pool] = []
        self.contexts: list[Any] = []
        for _ in range(2):
            context = pool_in(Path(self.folder.name), self.platform)
            pool, self.store = self.run(context.__aenter__())
            self.pools.append(pool)
            self.contexts.append(context)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def settle(self) -> None:
        """Wait until what was begun is done, and until both boards show it."""
        for pool in self.pools:
            board = pool._desk.board
            await until(
                lambda board=board: all(
                    held.lease.token and not held.ending for held in board.leases.values()
                )
            )
        while True:
            for pool in self.pools:
                await pool._desk.mirror.refresh()
            boards = [pool._desk.board for pool in self.pools]
            if not any(task.orphaned or task.evicting for board in boards for task in board.tasks.values()):
                return
            await asyncio.sleep(0.005)

    @initialize()
    def add_accounts(self) -> None:
        for name, slots in SLOTS.items():
            self.run(with_accounts(self.pools[0], self.platform, name, slots=slots))
        self.run(self.settle())

    def taken(self, pool: Pool, **more: Any) -> Lease | None:
        try:
            lease = self.run(take(pool, wait=0, ttl=60.0, **more))
        except ServiceError:
            return None
        assert lease.token > self.tokens.get(lease.account_id, 0)
        self.tokens[lease.account_id] = lease.token
        return lease

    @rule(target=leases, which=WHICH)
    def acquire(self, which: int) -> Any:
        pool = self.pools[which]
        free = any(account.slots_used < account.slots for account in pool._accounts())
        lease = self.taken(pool)
        assert (lease is not None) == free
        return lease

    @rule(target=leases, which=WHICH)
    def acquire_while_the_other_does(self, which: int) -> Any:
        """Both boards show the slots of before: the ledger decides."""

        async def race() -> list[Any]:
            rivals = (take(pool, wait=0, ttl=60.0) for pool in (self.pools[which], self.pools[1 - which]))
            return await asyncio.gather(*rivals, return_exceptions=True)

        free = sum(account.slots - account.slots_used for account in self.pools[0]._accounts())
        won = [result for result in self.run(race()) if isinstance(result, Lease)]
        assert len(won) == min(2, free)
        for lease in won[1:]:
            self.run(give(self.pools[1 - which], lease))
        for lease in won:
            self.tokens[lease.account_id] = max(lease.token, self.tokens.get(lease.account_id, 0))
        return won[0] if won else None

    @rule(target=leases, task=tasks, which=WHICH)
    def acquire_task(self, task: str, which: int) -> Any:
        return self.taken(self.pools[which], task_id=TaskId(task)) if task else None

    @rule(target=tasks, lease=leases)
    def record(self, lease: Lease | None) -> str:
        if lease is None:
            return ""
        for pool in self.pools:
            held = pool._desk.board.leases.get(LeaseId(lease.lease_id))
            if held is not None and not held.foreign and not held.task_id:
                self.count += 1
                self.run(pool.record_task(Task(task_id=f"task-{self.count}"), lease))
                return f"task-{self.count}"
        return ""  # only a lease that holds a slot of its own makes a task

    @rule(lease=leases, which=WHICH, releases=st.sampled_from([None, 0, 1]))
    def turn_of_a_caller(self, lease: Lease | None, which: int, releases: int | None) -> None:
        """At either replica; the caller may release the lease while its turn runs."""
        if lease is None:
            return
        held = self.pools[which]._desk.board.leases.get(LeaseId(lease.lease_id))
        task_id = held.task_id if held is not None else TaskId("")
        pool, self.count = self.pools[which], self.count + 1
        turn_id = f"turn-{self.count}"
        try:
            claimed = self.run(pool.claim(lease.lease_id, lease.token, task_id, turn_id))
        except ServiceError:
            return
        if not task_id:
            self.run(pool.record_task(Task(task_id=f"task-{self.count}"), claimed))
        else:
            self.run(pool.touch_task(task_id, turn_id=turn_id))
        if releases is not None:
            self.run(give(self.pools[releases], lease))
        self.run(pool.unclaim(lease.lease_id, turn_id))

    @rule(lease=consumes(leases), which=WHICH)
    def release(self, lease: Lease | None, which: int) -> None:
        """At either replica, whoever granted it; at the other one a task in use is left to be stopped."""
        if lease is not None:
            self.run(give(self.pools[which], lease))

    @rule(task=consumes(tasks), which=WHICH)
    def end(self, task: str, which: int) -> None:
        if task:
            self.run(self.pools[which].task_ended(TaskId(task)))

    @rule(cancel_at=st.integers(0, 8), which=WHICH)
    def leave_early(self, cancel_at: int, which: int) -> None:
        async def leave() -> None:
            pool = self.pools[which]
            caller = asyncio.create_task(take(pool, wait=0))
            for _ in range(cancel_at):
                await asyncio.sleep(0)
            caller.cancel()
            (result,) = await asyncio.gather(caller, return_exceptions=True)
            if isinstance(result, Lease):
                await give(pool, result)

        self.run(leave())

    @rule(which=WHICH)
    def restart(self, which: int) -> None:
        self.run(self.contexts[which].__aexit__(None, None, None))
        self.contexts[which] = context = pool_in(Path(self.folder.name), self.platform)
        self.pools[which], self.store = self.run(context.__aenter__())

    @invariant()
    def slots_are_never_exceeded_and_counted_alike(self) -> None:
        self.run(self.settle())
        books = self.run(self.store.books())
        used = Counter(work.task.account_id for work in books.tasks)
        used.update(
            holding.lease.account_id
            for holding in books.leases
            if holding.lease.mode == 2 and not holding.task_id
        )
        listed = self.run(self.store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 1000))
        active = sum(task.state != TaskState.TASK_STATE_ENDED for task in listed)
        assert active == len(books.tasks)
        for pool in self.pools:
            for account in pool._accounts():
                assert account.slots_used <= account.slots
                assert account.slots_used == used[account.account_id]

    def teardown(self) -> None:
        for context in self.contexts:
            self.run(context.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()


Slots.TestCase.settings = settings(max_examples=10, stateful_step_count=20)
TestSlots = Slots.TestCase
