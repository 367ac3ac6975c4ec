"""What becomes of a task when its turn is over, as TaskRetention states it."""

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import Ended

from server.turn.ending import may_stay
from server.turn.live import Cause

DEFAULT = TaskRetention.TASK_RETENTION_UNSPECIFIED
KEEP = TaskRetention.TASK_RETENTION_KEEP
STOP = TaskRetention.TASK_RETENTION_STOP
FINE = Ended(resumable=True)
BROKEN = Ended(resumable=False, error=ErrorReason.ERROR_REASON_UPSTREAM_LOST)
GONE = Ended(resumable=True, error=ErrorReason.ERROR_REASON_TASK_ENDED)


@pytest.mark.parametrize(
    ("retention", "ended", "cause", "is_new", "stays"),
    [
        (DEFAULT, FINE, None, True, True),
        (DEFAULT, FINE, Cause.CANCELLED, True, True),
        (DEFAULT, FINE, Cause.DETACHED, True, False),
        (KEEP, FINE, Cause.DETACHED, True, True),
        (STOP, FINE, None, True, False),
        (KEEP, BROKEN, None, True, False),
        (DEFAULT, BROKEN, None, False, False),
        (STOP, FINE, Cause.DETACHED, False, True),
        (KEEP, GONE, None, False, False),
        (KEEP, FINE, Cause.STOPPED, False, False),
    ],
)
def test_retention(
    retention: TaskRetention, ended: Ended, cause: Cause | None, *, is_new: bool, stays: bool
) -> None:
    assert may_stay(retention, ended, cause, is_new=is_new, in_conversation=False) is stays


@pytest.mark.parametrize(
    ("retention", "ended", "cause", "stays"),
    [
        (DEFAULT, FINE, Cause.DETACHED, True),
        (KEEP, FINE, None, True),
        (STOP, FINE, None, False),
        (DEFAULT, BROKEN, None, False),
        (DEFAULT, FINE, Cause.STOPPED, False),
    ],
)
def test_retention_in_a_conversation(
    retention: TaskRetention, ended: Ended, cause: Cause | None, *, stays: bool
) -> None:
    """New or not makes no difference there."""
    for is_new in (True, False):
        assert may_stay(retention, ended, cause, is_new=is_new, in_conversation=True) is stays
