"""Decides what becomes of a task when its turn is over. Pure."""

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import TASK_RETENTION_KEEP, TASK_RETENTION_STOP, TaskRetention
from howler.task.v1.task_event_pb2 import Ended

from server.turn.live import Cause

_GONE = (
    ErrorReason.ERROR_REASON_VM_FAILED,
    ErrorReason.ERROR_REASON_TASK_ENDED,
    ErrorReason.ERROR_REASON_TASK_NOT_FOUND,
)


def may_stay(
    retention: TaskRetention, ended: Ended, cause: Cause | None, *, is_new: bool, in_conversation: bool
) -> bool:
    """Tell whether the task stays, idle, for another turn (TaskRetention states the rules).

    A task stays only if its turn came to an orderly end (`ended.resumable`): an
    agent that may still be at work would tell its words to the next turn.
    """
    if ended.error in _GONE or cause is Cause.STOPPED:
        return False
    if not ended.resumable:
        return False
    if retention == TASK_RETENTION_STOP and (is_new or in_conversation):
        return False
    if not is_new or in_conversation:
        return True
    return retention == TASK_RETENTION_KEEP or cause is not Cause.DETACHED
