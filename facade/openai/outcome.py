"""How a turn ended, in the facade's words."""

from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Ended, EndReason

from facade.errors import ApiError

_COMPLETED: Final = EndReason.END_REASON_COMPLETED
_ANSWERED: Final = frozenset({_COMPLETED, EndReason.END_REASON_TIME_LIMIT, EndReason.END_REASON_CANCELLED})
_DIVERGED: Final = EndReason.END_REASON_REPLAY_DIVERGED


def failure_of(ended: Ended) -> ApiError | None:
    """Return why the turn failed, or None where it ended with an answer, be it cut short.

    A turn that was accepted has run: the failure tells clients not to send it again.
    """
    if ended.reason in _ANSWERED:
        return None
    reason = ended.error
    if ended.reason == _DIVERGED:
        reason = reason or ErrorReason.ERROR_REASON_REPLAY_DIVERGED
    return ApiError.of(reason, ended.message).once_accepted()


def is_cut_short(ended: Ended) -> bool:
    """Say whether the answer stops before its end: at the time limit, or where somebody stopped it.

    Both are told as `length` and `max_output_tokens`, the one word of either
    API for "there was more to come". `stop` would call a cut answer whole, and
    `content_filter` accuse it.
    """
    return ended.reason != _COMPLETED
