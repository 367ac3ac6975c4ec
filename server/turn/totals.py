"""Tells what a turn used from what its task used before it and after it (upstream-protocol §5.3).

PURE. The platform's totals are those of a whole task and may be late; mostly there are none. A difference is
taken between totals that stand still; where they may not there is none. Times are in seconds since 1970.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from server.pool.account import TaskId
from server.upstream.tasks import TaskInfo, Tokens

NOTHING: Final = Tokens(0, 0, 0, 0)
"""What a new task has used."""

_PATIENCE: Final = 3  # waits in vain, one after the other, until waiting counts as vain
_AGAIN: Final = 600.0  # seconds from then to the next try
_RESTED: Final = 300.0  # seconds without a turn after which a total stands still, whatever it was late by
_REMEMBERED: Final = 4096  # tasks
_LONGEST: Final = 16  # bytes of an answer per token: no model's are as long on the average


class Count:
    """Takes one turn's part out of the totals of its task.

    `total` is the latest that was read, `part` the turn's part of it once it stands still.
    """

    def __init__(self, before: Tokens, said: int) -> None:
        """`before` is what the task had used when the turn began, `said` how many bytes its answer has."""
        self._before = before
        self._least = said // _LONGEST
        self.total: Tokens | None = None
        self.part: Tokens | None = None

    def read(self, total: Tokens | None) -> None:
        """Take a total that was read after the turn's end.

        It stands still where it is the same in two reads and has grown by a request at least, and by what the
        answer must have taken: most of that comes from the last request.
        """
        if total is not None and total == self.total:
            part = _difference(total, self._before)
            if part.requests > 0 and min(part.input, part.output - self._least, part.total) >= 0:
                self.part = part
        self.total = total


def _difference(after: Tokens, before: Tokens) -> Tokens:
    """Return what came between two totals."""
    return Tokens(
        after.input - before.input,
        after.output - before.output,
        after.total - before.total,
        after.requests - before.requests,
    )


class _End(NamedTuple):
    """When a turn ended, and the total that it left."""

    at: float
    total: Tokens | None


class Totals:
    """What is known of a backend's totals: whether waiting for them is worth it, and which stand still.

    `told` is True once the backend told any.
    """

    def __init__(self) -> None:
        self.told = False
        self._vain = _PATIENCE  # nothing is known: one turn tries it for all
        self._due = 0.0
        self._ends: OrderedDict[TaskId, _End] = OrderedDict()

    def before(self, info: TaskInfo, now: float) -> Tokens | None:
        """Return the total that a turn begins with on a task that exists; None where it may not stand still.

        What comes late of the turn before would be counted for this one. Nothing does where that turn waited
        for its total, and this is it, or where it ended long ago.
        """
        self.seen(info.tokens)
        end = self._ends.pop(info.task_id, None)
        if end is not None and end.total == info.tokens:
            return info.tokens
        active_at = max(info.last_active_at, end.at if end is not None else 0.0)
        return info.tokens if now - active_at >= _RESTED else None

    def seen(self, total: Tokens | None) -> None:
        """Take note of what the platform tells of a task."""
        if total is not None and not self.told:
            self.told = True
            self._vain = 0

    def worth_a_wait(self, now: float) -> bool:
        """Tell whether a turn is to wait for its total; where that is in vain one tries it now and then."""
        if self._vain < _PATIENCE:
            return True
        if now < self._due:
            return False
        self._due = now + _AGAIN
        return True

    def waited(self, total: Tokens | None) -> None:
        """Take note of the total that a turn waited for, None where it did not stand still in time."""
        self._vain = 0 if total is not None else self._vain + 1

    def ended(self, task_id: TaskId, total: Tokens | None, now: float) -> None:
        """Take note that a turn ended, and of the total that it left, None where nobody knows."""
        if not self.told:
            return
        self._ends[task_id] = _End(now, total)
        if len(self._ends) > _REMEMBERED:
            self._ends.popitem(last=False)
