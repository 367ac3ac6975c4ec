"""Follows a running turn on its socket: frames to the machine, events to the log, replies back.

This is the hot path: per frame one decode, one fold, one append, all in the call
that read the frame; no task, no timer, no log line. A frame whose number does not
follow the one before it leaves that path (joining.py).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Answer, EndReason, TaskEvent

from server.acp.decode import Decoder
from server.acp.frames import Frame, Silent
from server.acp.told import Told
from server.acp.uplink import CANCEL, Reply, reply_frame
from server.errors import ServiceError
from server.turn.dialect import Spoken
from server.turn.joining import NO_FRAME, Joining, Make, Reached
from server.turn.limits import Limits
from server.turn.live import Cause, Interrupted, LiveTurn
from server.turn.scope import Scope
from server.turn.watchdog import Watchdog
from server.upstream.socket import Socket

_FIRST: Final = ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT


class Follower:
    """Follows one turn, over one socket or over several in a row. `joining` joins them."""

    def __init__(self, live: LiveTurn, make: Make, spoken: Spoken, limits: Limits) -> None:
        self._live = live
        self._reached = reached = Reached(make(None))
        self.joining = Joining(
            live, make, reached, idle=limits.idle, joined=self._send_owed, fail=self._fail, stop=self._stop
        )
        self._spoken = spoken
        self._decoder = Decoder()
        self._decode = self._decoder.decode
        self._clock = asyncio.get_running_loop().time
        self._limits = limits
        self._socket: Socket | None = None
        self._scope: Scope
        self._failure: ServiceError | None = None
        self._watchdog: Watchdog
        self._on_sign: Callable[[], None] | None = None
        self._first_due: float | None = None
        self.deaf = False
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

    def leave(self) -> None:
        """Follow no more. What refers back is let go: all is freed now, not once the collector finds it."""
        self._live.answerer = None
        del self.joining

    @property
    def told(self) -> Told:
        """What the turn's watchers were told."""
        return self.joining.told

    @property
    def began(self) -> bool:
        """True once the platform showed a sign of the agent."""
        return self.joining.began

    @property
    def ignored(self) -> int:
        """How many messages no dialect explains."""
        return self._reached.machine.ignored

    async def follow(self, socket: Socket, *, gapless: bool = False) -> list[TaskEvent]:
        """Follow the turn until the platform ends it and return its last events, yet to be told.

        A `gapless` socket was there before the turn began. Returns nothing when the
        platform gave the socket up, or replays another turn. Raises UPSTREAM_LOST when
        the socket is lost, FIRST_EVENT_TIMEOUT or IDLE_TIMEOUT when it went silent,
        REPLAY_DIVERGED, what ended the task, and Interrupted when the agent did not end
        an interrupted turn in time.
        """
        self.joining.begin()
        reached = self._reached
        reached.machine.severed = None
        reached.is_done, reached.is_gapless, reached.due = False, gapless, NO_FRAME
        if self._first_due is None:
            self._first_due = self._clock() + self._limits.first_event
        self._watchdog = Watchdog(
            idle=self._limits.idle,
            first=self._limits.first_event,
            first_due=self._first_due,
            began=lambda: self.began,
            bark=self._fail,
        )
        self._socket, self._scope = socket, Scope()
        try:
            with self._scope:
                if self._vm_is_up:
                    self._live.on_interrupt = self._interrupt
                    if self._live.cause is not None:
                        self._interrupt()
                await self._read(socket)
        except TimeoutError:
            if reached.is_done:
                return reached.last
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
            del self._watchdog
            self.joining.end()
            self._spoken.learn(self._decoder)
            self._socket = None
            self._live.on_interrupt = None
        return reached.last

    async def _read(self, socket: Socket) -> None:
        """Read the socket to its end, and wait for what is stored where the turn's end is held already.

        The platform closes a socket whose turn is over at the next frame that it is sent (§6.10).
        """
        try:
            await socket.each(self._receive)
        except ServiceError:
            joint = self.joining.joint
            if joint is None or not joint.holds_the_end:
                raise
            await asyncio.get_running_loop().create_future()  # the mending ends the scope

    @property
    def _vm_is_up(self) -> bool:
        return self._first_due != inf

    def _receive(self, message: bytes) -> bool:
        """Take one frame; True says that the socket is done with."""
        self._watchdog.last_frame = self._clock()
        frame = self._decode(message)
        seq, reached = frame.seq, self._reached
        if seq == reached.due:
            reached.due = seq + 1
        elif self.joining.take(frame):
            if self._on_sign is not None:
                self._heed(frame, self._on_sign)
            return reached.is_done
        machine = reached.machine
        events = machine.receive(frame)
        if self._on_sign is not None:
            self._heed(frame, self._on_sign)
        if machine.ended:
            reached.last = events
            return True
        if not events:
            return machine.severed is not None
        self._live.tell(events)
        if machine.owed:
            for reply in machine.to_send():
                self._send(self._spelled(reply))
        return False

    def _heed(self, frame: Frame, on_sign: Callable[[], None]) -> None:
        self.deaf = self.deaf and isinstance(frame, Silent)
        if self.began:
            self._on_sign = None
            on_sign()

    # What ends it, and what is sent.

    def end(
        self,
        reason: EndReason,
        error: ServiceError | None = None,
        *,
        resumable: bool = False,
    ) -> list[TaskEvent]:
        """End the turn by our word: return its last events, yet to be told."""
        told = self.told
        events = self.joining.witness.end(
            reason,
            error=error.reason if error is not None else ErrorReason.ERROR_REASON_UNSPECIFIED,
            message=error.message if error is not None else "",
            retry_after=error.retry_after if error is not None else None,
            resumable=resumable,
        )
        return [event for event in events if told.is_open(event)]

    def _fail(self, error: ServiceError) -> None:
        self._failure = error
        self._stop()

    def _stop(self) -> None:
        self._scope.end()

    def _interrupt(self) -> None:
        """Ask the agent to stop and give it a while to say that it did.

        Without its lease the turn may not send a thing: another holder may have the account. One that
        another process goes on with is left as it is.
        """
        cause = self._live.cause
        if cause is None:
            return
        if self._live.leaves:
            self._stop()
            return
        joint = self.joining.joint
        for machine in (self._reached.machine, joint.machine if joint is not None else self._reached.machine):
            machine.interrupt(cause.end_reason, cause.error.message, cause.error.reason)
        if cause is Cause.LEASE_LOST:
            self._stop()
            return
        self._scope.end(self._clock() + self._limits.cancel)
        self._send(CANCEL)

    def _answer(self, question_id: str, answers: list[Answer], decline: bool) -> None:
        """Answer a question for a caller: at once, or when a replay tells it again.

        Raises QUESTION_NOT_FOUND or INVALID_REQUEST.
        """
        joining = self.joining
        try:
            events = (joining.joint or joining.witness).answer(question_id, answers, decline=decline)
        except LookupError:
            raise ServiceError(
                ErrorReason.ERROR_REASON_QUESTION_NOT_FOUND, "the turn has no such open question"
            ) from None
        except ValueError as error:
            raise ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, f"answers: {error}") from None
        self._live.tell(events)
        self._send_owed()

    def _send_owed(self) -> None:
        for reply in self.joining.witness.to_send():
            self._send(self._spelled(reply))

    def _spelled(self, reply: Reply) -> str:
        """Spell a reply as the frames so far teach: a first turn may ask before it ends."""
        self._spoken.learn(self._decoder)
        return reply_frame(reply, self._spoken.dialect)

    def _send(self, frame: str) -> None:
        if self._socket is not None:
            with suppress(ServiceError):  # who reads meets the loss, after what was told before it
                self._socket.send(frame)
