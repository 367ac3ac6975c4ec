"""T-B5: whatever callers do, the board counts slots as the ledger does, and never too many."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task, TaskState
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from server.errors import ServiceError
from server.pool.account import LeaseId, TaskId
from tests.unit.pool.stand_in import Platform, give, pool_in, take, with_accounts

SLOTS = {"ann": 1, "bob": 2, "cat": 3}


class Slots(RuleBasedStateMachine):
    """A pool of three accounts and six slots; nobody waits, so every step has one outcome."""

    leases = Bundle("leases")
    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.platform = Platform()
        self.count = 0
        self.tokens: dict[str, int] = {}
        self.context = self.opened()

    def opened(self) -> Any:
        context = pool_in(Path(self.folder.name), self.platform)
        self.pool, self.store = self.run(context.__aenter__())
        return context

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def add_accounts(self) -> None:
        for name, slots in SLOTS.items():
            self.run(with_accounts(self.pool, self.platform, name, slots=slots))

    def taken(self, **more: Any) -> Lease | None:
        try:
            lease = self.run(take(self.pool, wait=0, **more))
        except ServiceError:
            return None
        assert lease.token > self.tokens.get(lease.account_id, 0)
        self.tokens[lease.account_id] = lease.token
        return lease

    @rule(target=leases)
    def acquire(self) -> Any:
        free = any(account.slots_used < account.slots for account in self.pool._accounts())
        lease = self.taken()
        assert (lease is not None) == free
        return lease

    @rule(target=leases, task=tasks)
    def acquire_task(self, task: str) -> Any:
        return self.taken(task_id=TaskId(task)) if task else None

    @rule(target=tasks, lease=leases)
    def record(self, lease: Lease | None) -> str:
        if lease is None:
            return ""
        self.count += 1
        task_id = f"task-{self.count}"
        held = self.pool._desk.board.leases.get(LeaseId(lease.lease_id))
        if held is None or held.task_id:
            return ""  # only a lease that holds a slot of its own makes a task
        self.run(self.pool.record_task(Task(task_id=task_id), lease))
        return task_id

    @rule(lease=consumes(leases))
    def release(self, lease: Lease | None) -> None:
        if lease is not None:
            self.run(give(self.pool, lease))

    @rule(task=consumes(tasks))
    def end(self, task: str) -> None:
        if task:
            self.run(self.pool.task_ended(TaskId(task)))

    @rule(cancel_at=st.integers(0, 8))
    def leave_early(self, cancel_at: int) -> None:
        async def leave() -> None:
            caller = asyncio.create_task(take(self.pool, wait=0))
            for _ in range(cancel_at):
                await asyncio.sleep(0)
            caller.cancel()
            (result,) = await asyncio.gather(caller, return_exceptions=True)
            if isinstance(result, Lease):
                await give(self.pool, result)
            while self.pool._desk.chores._running:
                await asyncio.sleep(0.001)

        self.run(leave())

    @rule()
    def restart(self) -> None:
        self.run(self.context.__aexit__(None, None, None))
        self.context = self.opened()

    @invariant()
    def slots_are_never_exceeded_and_counted_alike(self) -> None:
        active = self.run(self.store.tasks(TaskState.TASK_STATE_UNSPECIFIED, "", 1000))
        on: dict[str, int] = {}
        for task in active:
            if task.state != TaskState.TASK_STATE_ENDED:
                on[task.account_id] = on.get(task.account_id, 0) + 1
        board = self.pool._desk.board
        for held in board.leases.values():
            if held.exclusive and not held.task_id:
                on[held.account_id] = on.get(held.account_id, 0) + 1
        for account in self.pool._accounts():
            assert account.slots_used <= account.slots
            assert account.slots_used == on.get(account.account_id, 0)

    def teardown(self) -> None:
        self.run(self.context.__aexit__(None, None, None))
        self.runner.close()
        self.folder.cleanup()


Slots.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestSlots = Slots.TestCase
