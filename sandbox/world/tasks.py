"""All tasks of the sandbox, by id and by owner."""

from collections.abc import Collection, Iterator
from typing import Final

from sandbox.world.accounts import Account
from sandbox.world.task import Task

_KEPT: Final = 5_000  # tasks; beyond it the oldest that hold no slot are forgotten


class Tasks:
    """The task table. Deleted tasks stay readable (§5.3)."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._tasks.values()))

    def add(self, task: Task) -> None:
        """Add a task."""
        self._tasks[task.id] = task
        if len(self._tasks) > _KEPT:
            self._forget()

    def get(self, task_id: str) -> Task | None:
        """Return any task."""
        return self._tasks.get(task_id)

    def owned(self, task_id: str, account: Account) -> Task | None:
        """Return a task of this account, None if it is not theirs."""
        task = self._tasks.get(task_id)
        return task if task is not None and task.account is account else None

    def active(self, account: Account) -> int:
        """Count the slots that an account's tasks hold."""
        return sum(task.is_active for task in self._tasks.values() if task.account is account)

    def of(self, account: Account, statuses: Collection[str]) -> list[Task]:
        """List an account's tasks, newest first; no statuses = all."""
        return [
            task
            for task in reversed(self._tasks.values())
            if task.account is account and not task.is_deleted and (not statuses or task.status in statuses)
        ]

    def _forget(self) -> None:
        for task in list(self._tasks.values())[: _KEPT // 10]:
            if not task.is_active:
                del self._tasks[task.id]
