"""Reads what is stored of a turn until its stream is joined to what was told (docs/decisions/0011)."""

import asyncio
from collections.abc import Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent

from server.acp.joint import Joint
from server.acp.turn import Turn
from server.errors import ServiceError
from server.turn.recall import Recall

_E = ErrorReason
_PAUSES: Final = (0.1, 5.0)  # seconds between what is read and what is made of it, at first and at most
_LAGS: Final = 6  # reads in which the store may catch up with a task that has ended
_FAILURES: Final = 8  # reads in a row that fail until the stream is given up
_CONTRADICTIONS: Final = 3  # reads that contradict what was told until nothing else is believed


class Mending:
    """Mends one joint. `tell` is given what each read adds."""

    def __init__(
        self,
        joint: Joint,
        recall: Recall,
        fresh: Callable[[], Turn],
        tell: Callable[[list[TaskEvent]], None],
    ) -> None:
        self._joint = joint
        self._recall = recall
        self._fresh = fresh
        self._tell = tell

    async def run(self, end_of_task: ServiceError | None = None) -> list[TaskEvent]:
        """Return once the stream is joined, with the turn's last events, yet to be told, if it has ended.

        `end_of_task` is raised where nothing more can come, unless the end is stored.
        Raises REPLAY_DIVERGED where what is stored contradicts what was told, and what it
        cannot be read for.
        """
        pause = _PAUSES[0]
        contradictions = reads = failures = 0
        while True:
            events: list[TaskEvent] = []
            try:
                events = await self._read(pause)
                failures = 0
            except ServiceError as error:
                failures += 1
                if failures == _FAILURES:
                    raise end_of_task or error from None
                await asyncio.sleep(pause)
            if self._joint.machine.ended and self._joint.joined:
                return events
            self._tell(events)
            if self._joint.joined and end_of_task is None:
                return []
            contradictions += bool(self._joint.diverged)
            if contradictions == _CONTRADICTIONS:
                raise diverged(self._joint)
            reads += 1
            if end_of_task is not None and reads == _LAGS:
                raise end_of_task
            pause = min(pause * 1.6, _PAUSES[1])

    async def _read(self, pause: float) -> list[TaskEvent]:
        """Read what is stored and, after a pause in which the stream comes level with it, use it."""
        rows = await self._recall.rows()
        await asyncio.sleep(pause)
        return self._joint.mend(rows, self._fresh())


def diverged(joint: Joint) -> ServiceError:
    """Return the error of a turn whose replay contradicts what was told."""
    return ServiceError(
        _E.ERROR_REASON_REPLAY_DIVERGED,
        f"what the platform replays contradicts what it streamed: {joint.diverged}",
    )
