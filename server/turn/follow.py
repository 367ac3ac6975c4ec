"""Follows a running turn on its socket: frames to the machine, events to the log, replies back.

This is the hot path: per frame one decode, one fold, one append, all in the call
that read the frame; no task, no timer, no log line. A frame whose number does not
follow the one before it leaves that path (docs/decisions/0011).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Answer, EndReason, QuestionResolved, TaskEvent

from server.acp.decode import Decoder
from server.acp.frames import Began, Echo, Frame, Severed, Silent
from server.acp.joint import Joint, Prompt
from server.acp.told import Told
from server.acp.turn import Turn
from server.acp.uplink import CANCEL, Reply, reply_frame
from server.errors import ServiceError, incident
from server.turn.dialect import Spoken
from server.turn.limits import Limits
from server.turn.live import Cause, Interrupted, LiveTurn
from server.turn.mending import Mending
from server.turn.recall import Recall
from server.turn.watchdog import Watchdog
from server.upstream.socket import Socket

_FIRST: Final = ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT
_NONE: Final = -1  # no frame has this number
Make = Callable[[Mapping[str, QuestionResolved | None] | None], Turn]
"""Makes a machine that has seen nothing, given how questions were answered that it may see again."""


class Follower:
    """Follows one turn, over one socket or over several in a row.

    `recall` and `prompt` are what it takes to find out what a socket left out.
    """

    def __init__(self, live: LiveTurn, make: Make, spoken: Spoken, limits: Limits) -> None:
        self._live = live
        self._make = make
        self._machine = make(None)
        self._spoken = spoken
        self._decoder = Decoder()
        self._decode = self._decoder.decode
        self._clock = asyncio.get_running_loop().time
        self._limits = limits
        self._socket: Socket | None = None
        self._scope = asyncio.timeout(None)
        self._failure: ServiceError | None = None
        self._watchdog: Watchdog
        self._on_sign: Callable[[], None] | None = None
        self._first_due: float | None = None
        self._last: list[TaskEvent] = []
        self._is_done = False
        self.deaf = False
        self.recall: Recall | None = None
        self.prompt: Prompt | None = None
        self.on_caught_up: Callable[[], None] | None = None
        self._due = _NONE  # the number of the frame that leaves nothing out
        self._is_gapless = False
        self._joint: Joint | None = None
        self._mending: asyncio.Task[None] | None = None
        self._quiet_since = 0.0
        self._quiet_at = _NONE
        live.answerer = self._answer

    def await_vm(self, on_sign: Callable[[], None]) -> None:
        """Expect no agent before `vm_runs`, which the first sign of it does by `on_sign`.

        Until then it has all the time to its first event, and an interruption does not wait for it.
        `deaf` is True until a socket brings anything but pings.
        """
        self._on_sign = on_sign
        self._first_due = inf
        self.deaf = True

    def vm_runs(self) -> None:
        """Expect the agent: its time to a first event begins now."""
        self._first_due = self._clock() + self._limits.first_event
        if self._socket is not None:
            self._watchdog.expect(self._first_due)
            self._live.on_interrupt = self._interrupt

    def ask_anew(self) -> None:
        """Give the agent the time to a first event once more: it is asked again."""
        self._first_due = None

    def go_on_from(self, told: Told, complete: int = 0) -> None:
        """Go on from what was told; all that the platform numbered up to `complete` was.

        The next socket is one that replays the turn: what it tells is folded anew, and only
        what extends the told is told.
        """
        self._joint = Joint(told, complete, self._fresh(told), self.prompt)

    def join_again(self) -> None:
        """Go on from what was told on the sockets before."""
        joint = self._joint
        complete = joint.complete if joint is not None else max(self._due - 1, 0)
        self.go_on_from(self.told, complete)

    @property
    def told(self) -> Told:
        """What the turn's watchers were told."""
        return self._joint.told if self._joint is not None else self._machine.told

    @property
    def began(self) -> bool:
        """True once the platform showed a sign of the agent."""
        return self._machine.began or self.told.started

    @property
    def ignored(self) -> int:
        """How many messages no dialect explains."""
        return self._machine.ignored

    async def follow(self, socket: Socket, *, gapless: bool = False) -> list[TaskEvent]:
        """Follow the turn until the platform ends it and return its last events, yet to be told.

        A `gapless` socket was there before the turn began. Returns nothing when the
        platform gave the socket up, or replays another turn. Raises UPSTREAM_LOST when
        the socket is lost, FIRST_EVENT_TIMEOUT or IDLE_TIMEOUT when it went silent,
        REPLAY_DIVERGED, what ended the task, and Interrupted when the agent did not end
        an interrupted turn in time.
        """
        if self._joint is not None:
            self.join_again()  # what an earlier socket had held is stored by now
        self._machine.severed = None
        self._is_done, self._is_gapless, self._due = False, gapless, _NONE
        if self._first_due is None:
            self._first_due = self._clock() + self._limits.first_event
        self._quiet_since = self._clock()
        self._watchdog = Watchdog(
            idle=self._limits.idle,
            first=self._limits.first_event,
            first_due=self._first_due,
            began=lambda: self.began,
            bark=self._fail,
        )
        self._socket = socket
        try:
            async with asyncio.timeout(None) as self._scope:
                if self._vm_is_up:
                    self._live.on_interrupt = self._interrupt
                    if self._live.cause is not None:
                        self._interrupt()
                await self._read(socket)
        except TimeoutError:
            if self._is_done:
                return self._last
            if self._live.cause is not None:
                raise Interrupted(self._live.cause) from None
            if (failure := self._failure) is not None:
                self._failure = None
                if failure.reason == _FIRST and self._vm_is_up:
                    self._send(CANCEL)  # for what it is worth: nobody will read the answer
                raise failure from None
            raise
        finally:
            self._watchdog.stop()
            if self._mending is not None:
                self._mending.cancel()
                self._mending = None
            self._spoken.learn(self._decoder)
            self._socket = None
            self._live.on_interrupt = None
        return self._last

    async def _read(self, socket: Socket) -> None:
        """Read the socket to its end, and wait for what is stored where the turn's end is held already.

        The platform closes a socket whose turn is over at the next frame that it is sent (§6.10).
        """
        try:
            await socket.each(self._receive)
        except ServiceError:
            if self._joint is None or not self._joint.holds_the_end:
                raise
            await asyncio.get_running_loop().create_future()  # the mending ends the scope

    @property
    def _vm_is_up(self) -> bool:
        return self._first_due != inf

    def _receive(self, message: bytes) -> bool:
        """Take one frame; True says that the socket is done with."""
        self._watchdog.last_frame = self._clock()
        frame = self._decode(message)
        seq = frame.seq
        if seq == self._due:
            self._due = seq + 1
        elif self._is_aside(frame):
            return self._is_done
        machine = self._machine
        events = machine.receive(frame)
        if self._on_sign is not None:
            self._heed(frame, self._on_sign)
        if machine.ended:
            self._last = events
            return True
        if events:
            self._live.tell(events)
            for reply in machine.to_send():
                self._send(self._spelled(reply))
        return machine.severed is not None

    def _heed(self, frame: Frame, on_sign: Callable[[], None]) -> None:
        self.deaf = self.deaf and isinstance(frame, Silent)
        if self.began:
            self._on_sign = None
            on_sign()

    # Frames that leave the straight path, and what is read beside it.

    def _is_aside(self, frame: Frame) -> bool:
        """Take a frame that does not follow the one before it, unless it is one for the machine."""
        if self._joint is None:
            if isinstance(frame, Silent):
                self._mind_the_quiet()
                return False
            if not frame.seq:
                return False
            begins = self._due == _NONE and isinstance(frame, Echo | Began)
            if begins or self._is_gapless or self.recall is None:
                self._due = frame.seq + 1
                return False
            self._doubt()
        if isinstance(frame, Severed):
            self._machine.severed = frame.message
            self._is_done = True
        elif (joint := self._joint) is not None:
            self._take(joint, joint.receive(frame))
        if self._on_sign is not None:
            self._heed(frame, self._on_sign)
        return True

    def _take(self, joint: Joint, events: list[TaskEvent]) -> None:
        """Tell what a frame added at the joint, and see how far that is."""
        if joint.joined and joint.machine.ended:
            self._finish(joint, events)
            return
        self._add(events)
        if joint.joined:
            self._adopt(joint)
        elif joint.another:
            self._is_done = True
        elif joint.overfull:
            self._fail(ServiceError(ErrorReason.ERROR_REASON_UPSTREAM_LOST, "too much came behind a gap"))
        elif joint.holding and self._mending is None:
            self._mending = asyncio.create_task(self._mend(joint, None))

    def _add(self, events: list[TaskEvent]) -> None:
        joint = self._joint
        if joint is not None and joint.caught_up and self.on_caught_up is not None:
            self.on_caught_up()
        if events:
            self._live.tell(events)

    def _finish(self, joint: Joint, events: list[TaskEvent]) -> None:
        self._machine, self._joint = joint.machine, None
        self._last, self._is_done = events, True

    def _adopt(self, joint: Joint) -> None:
        """Follow the socket directly from now on."""
        ignored = self._machine.ignored
        self._machine, self._joint = joint.machine, None
        self._machine.ignored += ignored
        self._due = joint.complete + 1
        self._send_owed(self._machine)

    def _doubt(self) -> Joint:
        self._joint = Joint.in_doubt(self._machine, max(self._due - 1, 0), self.prompt)
        self._due = _NONE
        return self._joint

    async def _mend(self, joint: Joint, end_of_task: ServiceError | None) -> None:
        """Read what is stored until the stream is joined or the turn has ended."""
        assert self.recall is not None
        try:
            mending = Mending(joint, self.recall, lambda: self._fresh(joint.told), self._add)
            events = await mending.run(end_of_task)
        except ServiceError as error:
            self._fail(error)
        except Exception as error:
            self._fail(incident(error, self._live.id))
        else:
            self._mending = None
            if joint.machine.ended:
                self._finish(joint, events)
                self._scope.reschedule(self._clock())
            else:
                self._adopt(joint)

    def _mind_the_quiet(self) -> None:
        """Look after an agent that said nothing for long while the platform pings: its end may be lost."""
        now, extent = self._clock(), self.told.extent
        if extent != self._quiet_at:
            self._quiet_at, self._quiet_since = extent, now
        elif now - self._quiet_since > self._limits.idle and self.began and self._mending is None:
            self._quiet_since = now
            if self.recall is not None:
                self._mending = asyncio.create_task(self._look(self.recall))

    async def recollect(self, end_of_task: ServiceError) -> list[TaskEvent]:
        """Return the last events of a turn whose task has ended, from what is stored; tell what comes before.

        Raises `end_of_task` where the turn's end is not stored, and REPLAY_DIVERGED.
        """
        assert self.recall is not None
        self.join_again()
        joint = self._joint
        assert joint is not None
        joint.holding = True
        events = await Mending(joint, self.recall, lambda: self._fresh(joint.told), self._add).run(
            end_of_task
        )
        self._finish(joint, events)
        return events

    async def _look(self, recall: Recall) -> None:
        """Read once what is stored, while the stream goes on; mend it where that holds more than it told."""
        end = await recall.end_of_task()
        rows = await recall.rows_if_any()
        if self._joint is None and (end is not None or (rows and self._quiet_at == self.told.extent)):
            joint = Joint.in_doubt(self._machine, max(self._due - 1, 0), self.prompt)
            events = joint.mend(rows, self._fresh(joint.told))
            if end is None and not (events or joint.diverged):
                self._mending = None
                self._heed_complaint()
                return
            self._joint, self._due = joint, _NONE
            if joint.joined and joint.machine.ended:
                self._finish(joint, events)
                self._scope.reschedule(self._clock())
                return
            self._add(events)
        if self._joint is not None:
            await self._mend(self._joint, end)
        else:
            self._mending = None

    def _heed_complaint(self) -> None:
        """End a turn whose agent reported an error and did nothing since: it may be dead (§6.6)."""
        if (complaint := self._machine.complaint) is not None:
            self._fail(ServiceError(ErrorReason.ERROR_REASON_AGENT_ERROR, complaint))

    def _fresh(self, told: Told) -> Turn:
        machine = self._make(told.questions)
        cause = self._live.cause
        if cause is not None:
            machine.interrupt(cause.end_reason, cause.error.message, cause.error.reason)
        return machine

    # What ends it, and what is sent.

    def end(
        self,
        reason: EndReason,
        error: ServiceError | None = None,
        *,
        resumable: bool = False,
    ) -> list[TaskEvent]:
        """End the turn by our word: return its last events, yet to be told."""
        joint = self._joint
        machine = (joint.witness if joint is not None else None) or self._machine
        told = self.told
        events = machine.end(
            reason,
            error=error.reason if error is not None else ErrorReason.ERROR_REASON_UNSPECIFIED,
            message=error.message if error is not None else "",
            retry_after=error.retry_after if error is not None else None,
            resumable=resumable,
        )
        return [event for event in events if told.is_open(event)]

    def _fail(self, error: ServiceError) -> None:
        self._failure = error
        self._scope.reschedule(self._clock())

    def _interrupt(self) -> None:
        """Ask the agent to stop and give it a while to say that it did.

        Without its lease the turn may not send a thing: another holder may have the account. One that
        another process goes on with is left as it is.
        """
        cause = self._live.cause
        if cause is None:
            return
        if self._live.leaves:
            self._scope.reschedule(self._clock())
            return
        for machine in (self._machine, self._joint.machine if self._joint is not None else self._machine):
            machine.interrupt(cause.end_reason, cause.error.message, cause.error.reason)
        if cause is Cause.LEASE_LOST:
            self._scope.reschedule(self._clock())
            return
        self._scope.reschedule(self._clock() + self._limits.cancel)
        self._send(CANCEL)

    def _answer(self, question_id: str, answers: list[Answer], decline: bool) -> None:
        """Answer a question for a caller: at once, or when a replay tells it again.

        Raises QUESTION_NOT_FOUND or INVALID_REQUEST.
        """
        joint = self._joint
        machine = (joint.witness if joint is not None else None) or self._machine
        try:
            events = (joint or machine).answer(question_id, answers, decline=decline)
        except LookupError:
            raise ServiceError(
                ErrorReason.ERROR_REASON_QUESTION_NOT_FOUND, "the turn has no such open question"
            ) from None
        except ValueError as error:
            raise ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, f"answers: {error}") from None
        self._live.tell(events)
        self._send_owed(machine)

    def _send_owed(self, machine: Turn) -> None:
        for reply in machine.to_send():
            self._send(self._spelled(reply))

    def _spelled(self, reply: Reply) -> str:
        """Spell a reply as the frames so far teach: a first turn may ask before it ends."""
        self._spoken.learn(self._decoder)
        return reply_frame(reply, self._spoken.dialect)

    def _send(self, frame: str) -> None:
        if self._socket is not None:
            with suppress(ServiceError):  # who reads meets the loss, after what was told before it
                self._socket.send(frame)
