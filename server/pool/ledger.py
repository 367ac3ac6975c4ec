"""What the pool asks of a store. The records in it are the truth; the pool's board mirrors them."""

from dataclasses import dataclass
from typing import Protocol

from howler.pool.v1.pool_service_pb2 import Cooldown, Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId


@dataclass(frozen=True, slots=True)
class Books:
    """All that a pool starts from: accounts in the order of their registration, the tasks that
    are active (the one idle longest first; RUNNING where its lease was live until now), and the cooldowns
    with their accounts ("" for the platform).
    """

    members: list[Member]
    tasks: list[Task]
    cooldowns: list[tuple[AccountId, Cooldown]]


class Ledger(Protocol):
    """Records who holds what. Times are microseconds since 1970.

    Operations take effect in the order of their calls. Each is atomic, and is on disk when it returns.
    """

    async def open_books(self, now_us: int) -> Books:
        """End every lease still recorded as live, drop cooldowns that are over, and return the rest."""

    async def add_account(self, member: Member) -> None:
        """Record a new account, behind all others."""

    async def put_account(self, member: Member) -> None:
        """Write an account's fields, all but its creation, its last use and its token."""

    async def remove_account(self, account_id: AccountId, now_us: int) -> None:
        """Forget an account and its cooldowns; end its leases and its tasks."""

    async def grant(self, lease: Lease, slots: int, task_id: TaskId, now_us: int) -> int | None:
        """Record a lease and return its token, the account's next.

        None when the account is gone, disabled or without a session; for an exclusive lease also when all
        its `slots` are taken or, where `task_id` is not empty, that task has ended or has a live lease.
        """

    async def end_lease(self, lease_id: LeaseId, now_us: int) -> None:
        """End a lease; its task was used last now. A lease that has ended is left as it is."""

    async def lease_token(self, lease_id: LeaseId) -> int | None:
        """Return the token of a lease, live or ended in the last hour; None for any other."""

    async def record_task(self, task: Task, lease_id: LeaseId) -> None:
        """Record an active task and bind the lease, if it is live, to it."""

    async def touch_task(self, task_id: TaskId, turn_id: str, now_us: int) -> None:
        """Record that a turn began on a task."""

    async def end_task(self, task_id: TaskId, now_us: int) -> None:
        """Record that a task has ended; one that has ended is left as it is."""

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task, active or ended."""

    async def cool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """Record a cooldown in place of the one of the same scope and model."""

    async def uncool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """Drop the cooldown of that scope and model."""
