"""What the pool asks of a store. Its records are the truth, for every replica; a pool's board mirrors them.

The ledger's clock is its own: monotonic on SQLite, the database's on PostgreSQL, never a wall clock of ours.
Its moments never leave it; what callers are told is seconds from now. What a lease's holder may still believe
is counted from a moment before the call that granted or renewed it, so it ends before the ledger's own.

A slot is a row: it is free while neither a lease nor a task is in it and it is not closed. A lease on a task
is in the task's slot; a task made under a lease takes the lease's slot over.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId

Changed = Callable[[frozenset[AccountId] | None], None]
"""Told which accounts another replica changed; None means any, after a time without contact."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease that has not ended, but for its `expire_time`, which is not recorded. `replica` answers for it.

    It lapses in `left` seconds; `reclaimable` seconds from now its slot may be somebody else's.
    """

    lease: Lease
    replica: str
    task_id: TaskId
    left: float
    reclaimable: float


@dataclass(frozen=True, slots=True)
class Work:
    """An active task. `busy`: a turn runs on it or, where no lease is on it, was left in the middle."""

    task: Task
    busy: bool


@dataclass(frozen=True, slots=True)
class Cold:
    """A cooldown with its account ("" for the platform), over in `left` seconds."""

    account_id: AccountId
    cooldown: Cooldown
    left: float


@dataclass(frozen=True, slots=True)
class Books:
    """All that is recorded of some accounts, read at one moment.

    Members come in the order of their registration, tasks the one used longest ago first. `closed` says in
    how many seconds each slot opens that is free but closed. Cooldowns of the platform are in all books.
    """

    members: list[Member]
    leases: list[Holding]
    tasks: list[Work]
    cooldowns: list[Cold]
    closed: list[tuple[AccountId, float]]


class Ledger(Protocol):
    """Records who holds what. `now_us` is the wall clock in microseconds since 1970, for records only.

    Operations of one replica on the same account, lease or task take effect in the order of their calls. Each
    is atomic and durable when it returns; `books` shows all that returned before it was called. Whatever
    changes an account's record, slots or cooldowns is told to the other replicas, and what is done to a lease
    that one of them answers for; of shared leases, of renewals of one's own and of what happens to a task
    that a lease is on nobody need hear.
    """

    @property
    def replica(self) -> str:
        """The name of this process among those that share the ledger."""

    def listen(self, changed: Changed) -> None:
        """Call back, in the loop, when another replica changed something. May be set once."""

    async def books(self, accounts: Collection[AccountId] | None = None) -> Books:
        """Return what is recorded of these accounts, or of all."""

    async def reclaim(self) -> frozenset[AccountId]:
        """End the leases whose slots may be reclaimed, drop cooldowns that are over; return whose they were.

        Those of a process that is known to be dead are reclaimed at once. The tasks of leases that end this
        way stay as busy as they are.
        """

    async def add_account(self, member: Member) -> bool:
        """Record a new account, behind all others, with its slots; False when its user has one already."""

    async def put_account(self, member: Member) -> bool:
        """Write an account's fields and its slots, if its version is still `member.version`; count that up.

        Not written: its creation, its last use and its token. A slot in use that is one too many stays until
        it is free. False when another replica was first, the account is gone, or its user has another one.
        """

    async def remove_account(self, account_id: AccountId, now_us: int) -> None:
        """Forget an account, its slots and its cooldowns; end its leases and its tasks."""

    async def claim_login(self, account_id: AccountId, seconds: float) -> bool:
        """Take the right to log an account in for a while; False when another replica has it."""

    async def grant(self, lease: Lease, task_id: TaskId, ttl: float, now_us: int) -> int | None:
        """Record a lease for `ttl` seconds and return its token, the account's next.

        None when the account is gone, disabled or without a session; for an exclusive lease also when none
        of its slots is free and open or, where `task_id` is not empty, that task has ended or is leased. On a
        task that was left in the middle of a turn one is granted although the account is disabled.
        """

    async def grant_tasks(
        self, leases: Mapping[TaskId, Lease], ttl: float, now_us: int
    ) -> Mapping[TaskId, int]:
        """Record exclusive leases on tasks in one step; return the tokens of those that were granted.

        Each is granted or not as by `grant`, whatever becomes of the others.
        """

    async def renew(self, leases: Mapping[LeaseId, float]) -> frozenset[LeaseId]:
        """Let each lease end so many seconds from now; return those that had not lapsed. 0 lets it lapse."""

    async def claim(self, lease_id: LeaseId, task_id: TaskId, turn_id: str) -> float | None:
        """Take a caller's lease for a turn, and answer for it from now on, whichever replica granted it.

        Return in how many seconds it lapses; None when it has lapsed or ended, another turn runs on it, or it
        has another task than `task_id` (empty for none yet).
        """

    async def unclaim(self, lease_id: LeaseId, turn_id: str, now_us: int) -> None:
        """Record that a turn no longer runs on its caller's lease, nor on the lease's task."""

    async def release(self, lease_id: LeaseId, now_us: int) -> bool:
        """End a lease in order, for its caller; tell whether it has ended.

        Where a turn runs on it, or another replica uses its task, it only lapses: its slot stays taken until
        the replica that runs the turn has heard of it and ends the lease.
        """

    async def lapse(self, lease_id: LeaseId, now_us: int) -> bool:
        """End a lease of this replica that has lapsed; its task stays as busy as it is.

        False when it has time left, or is another replica's by now.
        """

    async def end_lease(
        self, lease_id: LeaseId, now_us: int, *, ended_task: TaskId = TaskId(""), close_slot: float = 0.0
    ) -> None:
        """End a lease in order and forget it; its task was used last now and no turn runs on it.

        One that has ended otherwise stays as it is.

        `ended_task` is ended in the same step, even where the lease has ended before. A slot that no task
        took over stays closed for `close_slot` seconds.
        """

    async def end_tasks(self, leases: Mapping[TaskId, LeaseId], now_us: int) -> None:
        """End tasks and the leases on them in one step, each as `end_lease` does."""

    async def lease_token(self, lease_id: LeaseId) -> int | None:
        """Return the token of a lease that is live, or that was released or lapsed in the last hour."""

    async def record_task(
        self, task: Task, lease_id: LeaseId, recorded: Callable[[bool], None] | None = None
    ) -> bool:
        """Record an active task on which a turn runs, in the slot of the lease that it was made under.

        Where the lease has ended, or has a task already, the task takes a free slot of its account, else one
        beyond its limit; False then. Where the account is gone it is recorded as ended. `recorded` is told
        the same in the loop, even when the caller is cancelled meanwhile.
        """

    async def touch_task(self, task_id: TaskId, turn_id: str, now_us: int) -> None:
        """Record that a turn begins on a task."""

    async def end_task(self, task_id: TaskId, now_us: int) -> None:
        """Record that a task has ended: its slot is free, whoever has a lease on it. Again is no error."""

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task, active or ended."""

    async def cool(self, account_id: AccountId, cooldown: Cooldown, seconds: float) -> None:
        """Record a cooldown of so many seconds in place of the one of the same scope and model."""

    async def uncool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """Drop the cooldown of that scope and model."""
