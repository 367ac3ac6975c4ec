"""Pages of tasks, for TaskService."""

from typing import NamedTuple, Self

from howler.task.v1.task_service_pb2 import Task, TaskState

from server.store.rows import Parameters


class TaskCursor(NamedTuple):
    """Where a page of tasks ended."""

    last_used_us: int
    task_id: str

    @classmethod
    def behind(cls, task: Task) -> Self:
        """Return the cursor behind a task."""
        return cls(task.last_used_time.ToMicroseconds(), task.task_id)


def page(state: TaskState, principal: str, limit: int, after: TaskCursor | None) -> Parameters:
    """Return what `list_tasks` needs to know of a page; see `tasks` of the stores."""
    return {
        "state": state,
        "principal": principal,
        "limit": limit,
        "after_us": after.last_used_us if after else None,
        "after_id": after.task_id if after else None,
    }
