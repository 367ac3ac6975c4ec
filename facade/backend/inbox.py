"""What came of one turn and was not read yet."""

import asyncio
from collections.abc import Callable, Sequence

from howler.task.v1.relay_pb2 import TurnFrame
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.errors import ApiError


class Inbox:
    """One turn's events on their way from the Relay to the one who answers with them.

    `turn_id` is the server's id of the turn, empty until it was accepted;
    `last_seq` the `seq` of the last event that came, 0 before; `over` says that
    nothing more comes. While the one who answers waits, `take` is offered what
    comes; what it takes is passed on by then, and was never here.
    """

    __slots__ = ("_error", "_more", "_ready", "_wake", "last_seq", "over", "take", "turn_id")

    def __init__(self) -> None:
        self.turn_id = ""
        self.last_seq = 0
        self.over = False
        self.take: Callable[[Sequence[TaskEvent]], bool] | None = None
        self._ready: Sequence[TaskEvent] = ()
        self._more: TurnFrame | None = None
        self._error: ApiError | None = None
        self._wake: asyncio.Future[None] | None = None

    def put(self, events: Sequence[TaskEvent]) -> bool:
        """Take the turn's next events, at least one; say whether they were passed on. `ended` makes it over.

        The first batch that waits is kept as it came. More of them are copied:
        each keeps its whole message alive, with what it holds of other turns.
        """
        if not self.turn_id:
            self.turn_id = events[0].accepted.turn_id
        self.last_seq += len(events)
        if events[-1].HasField("ended"):
            self.over = True
        elif self.take is not None and self._wake is not None and self.take(events):
            return True
        if not self._ready:
            self._ready = events
        else:
            if self._more is None:
                self._more = TurnFrame()
            self._more.events.extend(events)
        self._rouse()
        return False

    def fail(self, error: ApiError) -> None:
        """Make it over by a failure that is raised after what came before; nothing where it is over."""
        if not self.over:
            self.over = True
            self._error = error if not self.turn_id else error.once_accepted()
            self._rouse()

    def end(self) -> None:
        """Make it over: what there is was told."""
        self.over = True
        self._rouse()

    def close(self) -> None:
        """Make it over and drop what nobody will read."""
        self.over, self.take = True, None
        self._ready, self._more = (), None
        self._rouse()

    async def get(self) -> Sequence[TaskEvent]:
        """Return what came, as soon as there is something; nothing when it is over. Raises its failure."""
        while not self._ready:
            if self.over:
                if self._error is not None:
                    raise self._error
                return ()
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        events = self._ready
        self._ready, self._more = (() if self._more is None else self._more.events), None
        return events

    def _rouse(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():  # as where the one who waited was cancelled
            wake.set_result(None)
