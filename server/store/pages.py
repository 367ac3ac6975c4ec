"""Pages of what was used, of which the one used last comes first: tasks and conversations."""

from typing import NamedTuple, TypeAlias

from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.store.rows import Parameters

State: TypeAlias = "TaskState | ConversationState"  # classes in the stubs alone


class Cursor(NamedTuple):
    """Where a page ended: when its last row was used, in microseconds since 1970, and the row's id."""

    last_used_us: int
    id: str


def behind_task(task: Task) -> Cursor:
    """Return the cursor behind a task."""
    return Cursor(task.last_used_time.ToMicroseconds(), task.task_id)


def behind_conversation(conversation: Conversation) -> Cursor:
    """Return the cursor behind a conversation."""
    return Cursor(conversation.last_used_time.ToMicroseconds(), conversation.conversation_id)


def page(state: State, principal: str, limit: int, after: Cursor | None) -> Parameters:
    """Return what the queries that list need to know of a page of `limit` rows."""
    return {
        "state": state,
        "principal": principal,
        "limit": limit,
        "after_us": after.last_used_us if after else None,
        "after_id": after.id if after else None,
    }
