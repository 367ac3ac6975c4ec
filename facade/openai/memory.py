"""Which conversation a request belongs to (openai-surface.md §7.1). Pure.

One place decides it for every API that has conversations: today by the history that a request brings, which
the server recognises. What a request names of its own accord goes before that, and belongs here.
"""

from dataclasses import dataclass
from typing import Final

from howler.task.v1.start_turn_pb2 import TaskRetention

_KEEP: Final = TaskRetention.TASK_RETENTION_KEEP
_STOP: Final = TaskRetention.TASK_RETENTION_STOP


@dataclass(frozen=True, slots=True)
class Memory:
    """How a turn is bound to what was said before it: fields of StartTurn."""

    recognise_history: bool = False
    retention: TaskRetention = _STOP
    conversation_id: str = ""


ALONE: Final = Memory()
"""Of a request that nothing follows: its task is stopped when it is over."""


def memory_of(*, keep_chats: bool, conversation: str | None = None) -> Memory:
    """Decide by what the conversation of a request is found; `keep_chats` is HOWLER_KEEP_CHATS.

    A `conversation` that it names goes before what it says of the history.
    """
    if conversation:
        return Memory(retention=_KEEP, conversation_id=conversation)
    return Memory(recognise_history=True, retention=_KEEP) if keep_chats else ALONE
