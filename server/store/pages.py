"""Pages of tasks, for TaskService."""

from typing import NamedTuple, Self

from howler.task.v1.task_service_pb2 import Task


class TaskCursor(NamedTuple):
    """Where a page of tasks ended."""

    last_used_us: int
    task_id: str

    @classmethod
    def behind(cls, task: Task) -> Self:
        """Return the cursor behind a task."""
        return cls(task.last_used_time.ToMicroseconds(), task.task_id)
