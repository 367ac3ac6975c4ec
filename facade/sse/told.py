"""A turn whose events are all there from the start."""

from collections.abc import AsyncIterator, Callable, Sequence

from howler.task.v1.task_event_pb2 import TaskEvent

from facade.openai.heard import Heard


class ToldTurn:
    """Such a turn: one batch."""

    def __init__(self, events: Sequence[TaskEvent]) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[Sequence[TaskEvent]]:
        """Give the batch."""
        yield self._events

    def at_once(self, take: Callable[[Sequence[Heard]], bool]) -> None:
        """Offer nothing: the one batch is the last."""

    def leave(self) -> None:
        """Leave nothing: nobody runs it."""
