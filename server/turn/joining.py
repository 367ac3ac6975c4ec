"""What of a socket leaves the straight path of Follower, and what is read beside it (docs/decisions/0011).

What came may have a hole before it: it goes through a joint, and what is stored is read until that is joined.
It is read, too, where an agent was silent for long: its end may be lost.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import QuestionResolved, TaskEvent

from server.acp.frames import Began, Echo, Frame, Severed, Silent
from server.acp.joint import Joint, Prompt
from server.acp.told import Told
from server.acp.turn import Turn
from server.errors import ServiceError, incident
from server.turn.live import LiveTurn
from server.turn.mending import Mending
from server.turn.recall import Recall

_E = ErrorReason
NO_FRAME: Final = -1
"""The number of no frame."""

Make = Callable[[Mapping[str, QuestionResolved | None] | None], Turn]
"""Makes a machine that has seen nothing, given how questions were answered that it may see again."""


@dataclass(slots=True)
class Reached:
    """How far a turn was followed.

    `machine` has seen all that was told, unless there is a joint; `due` is the number of the frame that
    leaves nothing out. `is_done` says that the socket is done with; `last` are the turn's last events, yet to
    be told, where it has ended. An `is_gapless` socket was there before the turn began.
    """

    machine: Turn
    due: int = NO_FRAME
    is_gapless: bool = False
    is_done: bool = False
    last: list[TaskEvent] = field(default_factory=list)


class Joining:
    """Goes on from what was told, where a socket may have left something out of it.

    `joint` is where that is, None on the straight path. `recall` and `prompt` are what it takes to find out
    what a socket left out. `joined` is told that the straight path goes on; `fail` ends the following of the
    socket with an error, `stop` because the turn has ended.
    """

    def __init__(
        self,
        live: LiveTurn,
        make: Make,
        reached: Reached,
        *,
        idle: float,
        joined: Callable[[], None],
        fail: Callable[[ServiceError], None],
        stop: Callable[[], None],
    ) -> None:
        self._live = live
        self._make = make
        self._reached = reached
        self._idle = idle
        self._joined = joined
        self._fail = fail
        self._stop = stop
        self._clock = asyncio.get_running_loop().time
        self.joint: Joint | None = None
        self.recall: Recall | None = None
        self.prompt: Prompt | None = None
        self.on_caught_up: Callable[[], None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._quiet_since = 0.0
        self._quiet_at = NO_FRAME

    @property
    def told(self) -> Told:
        """What the turn's watchers were told."""
        return self.joint.told if self.joint is not None else self._reached.machine.told

    @property
    def began(self) -> bool:
        """True once the platform showed a sign of the agent."""
        return self._reached.machine.began or self.told.started

    @property
    def witness(self) -> Turn:
        """The machine that has seen most of what was told."""
        return (self.joint.witness if self.joint is not None else None) or self._reached.machine

    def go_on_from(self, told: Told, complete: int = 0) -> None:
        """Go on from what was told; all that the platform numbered up to `complete` was.

        The next socket is one that replays the turn: what it tells is folded anew, and only
        what extends the told is told.
        """
        self.joint = Joint(told, complete, self._fresh(told), self.prompt)

    def again(self) -> None:
        """Go on from what was told on the sockets before."""
        complete = self.joint.complete if self.joint is not None else self._complete
        self.go_on_from(self.told, complete)

    def begin(self) -> None:
        """Take note that a socket is followed from now on."""
        if self.joint is not None:
            self.again()  # what an earlier socket had held is stored by now
        self._quiet_since = self._clock()

    def end(self) -> None:
        """Read nothing more beside the socket, which is left."""
        if self._mending is not None:
            self._mending.cancel()
            self._mending = None

    @property
    def _complete(self) -> int:
        return max(self._reached.due - 1, 0)

    def _fresh(self, told: Told) -> Turn:
        machine = self._make(told.questions)
        cause = self._live.cause
        if cause is not None:
            machine.interrupt(cause.end_reason, cause.error.message, cause.error.reason)
        return machine

    def take(self, frame: Frame) -> bool:
        """Take a frame that does not follow the one before it, unless it is one for the machine: False."""
        reached = self._reached
        if self.joint is None:
            if isinstance(frame, Silent):
                self._mind_the_quiet()
                return False
            if not frame.seq:
                return False
            begins = reached.due == NO_FRAME and isinstance(frame, Echo | Began)
            if begins or reached.is_gapless or self.recall is None:
                reached.due = frame.seq + 1
                return False
            self.joint, reached.due = self._doubt(), NO_FRAME
        if isinstance(frame, Severed):
            reached.machine.severed = frame.message
            reached.is_done = True
        else:
            self._receive(self.joint, frame)
        return True

    def _receive(self, joint: Joint, frame: Frame) -> None:
        """Tell what a frame adds at the joint, and see how far that is."""
        events = joint.receive(frame)
        if joint.joined and joint.machine.ended:
            self._finish(joint, events)
            return
        self._add(events)
        if joint.joined:
            self._adopt(joint)
        elif joint.another:
            self._reached.is_done = True
        elif joint.overfull:
            self._fail(ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, "too much came behind a gap"))
        elif joint.holding and self._mending is None:
            self._mending = asyncio.create_task(self._mend(joint, None))

    def _add(self, events: list[TaskEvent]) -> None:
        joint = self.joint
        if joint is not None and joint.caught_up and self.on_caught_up is not None:
            self.on_caught_up()
        if events:
            self._live.tell(events)

    def _finish(self, joint: Joint, events: list[TaskEvent]) -> None:
        self._leave(joint)
        self._reached.last, self._reached.is_done = events, True

    def _adopt(self, joint: Joint) -> None:
        """Follow the socket directly from now on."""
        reached = self._reached
        joint.machine.ignored += reached.machine.ignored
        self._leave(joint)
        reached.due = joint.complete + 1
        self._joined()

    def _leave(self, joint: Joint) -> None:
        joint.told.text.go_on_in(joint.machine.told.text)
        self._reached.machine, self.joint = joint.machine, None

    def _doubt(self) -> Joint:
        return Joint.in_doubt(self._reached.machine, self._complete, self.prompt)

    # What is read beside the socket.

    async def _mend(self, joint: Joint, end_of_task: ServiceError | None) -> None:
        """Read what is stored until the stream is joined or the turn has ended."""
        try:
            events = await self._mended(joint, end_of_task)
        except ServiceError as error:
            self._fail(error)
        except Exception as error:
            self._fail(incident(error, self._live.id))
        else:
            self._mending = None
            if joint.machine.ended:
                self._finish(joint, events)
                self._stop()
            else:
                self._adopt(joint)

    async def _mended(self, joint: Joint, end_of_task: ServiceError | None) -> list[TaskEvent]:
        assert self.recall is not None
        mending = Mending(joint, self.recall, lambda: self._fresh(joint.told), self._add)
        return await mending.run(end_of_task)

    async def recollect(self, end_of_task: ServiceError) -> list[TaskEvent]:
        """Return the last events of a turn whose task has ended, from what is stored; tell what comes before.

        Raises `end_of_task` where the turn's end is not stored, and REPLAY_DIVERGED.
        """
        self.again()
        assert self.joint is not None
        joint = self.joint
        joint.holding = True
        events = await self._mended(joint, end_of_task)
        self._finish(joint, events)
        return events

    def _mind_the_quiet(self) -> None:
        """Look after an agent that said nothing for long while the platform pings: its end may be lost."""
        now, extent = self._clock(), self.told.extent
        if extent != self._quiet_at:
            self._quiet_at, self._quiet_since = extent, now
        elif now - self._quiet_since > self._idle and self.began and self._mending is None:
            self._quiet_since = now
            if self.recall is not None:
                self._mending = asyncio.create_task(self._look(self.recall))

    async def _look(self, recall: Recall) -> None:
        """Read once what is stored, while the stream goes on; mend it where that holds more than it told."""
        end = await recall.end_of_task()
        rows = await recall.rows_if_any()
        if self.joint is None and (end is not None or (rows and self._quiet_at == self.told.extent)):
            joint = self._doubt()
            events = joint.mend(rows, self._fresh(joint.told))
            if end is None and not (events or joint.diverged):
                self._mending = None
                self._heed_complaint()
                return
            self.joint, self._reached.due = joint, NO_FRAME
            if joint.joined and joint.machine.ended:
                self._finish(joint, events)
                self._stop()
                return
            self._add(events)
        if self.joint is not None:
            await self._mend(self.joint, end)
        else:
            self._mending = None

    def _heed_complaint(self) -> None:
        """End a turn whose agent reported an error and did nothing since: it may be dead (§6.6)."""
        if (complaint := self._reached.machine.complaint) is not None:
            self._fail(ServiceError(_E.ERROR_REASON_AGENT_ERROR, complaint))
