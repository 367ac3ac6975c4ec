"""Follows a running turn on its socket: frames to the machine, events to the log, replies back.

This is the hot path: per frame one decode, one fold, one append, all in the call
that read the frame; no task, no timer, no log line.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Answer, TaskEvent

from server.acp.decode import Decoder
from server.acp.frames import Frame, Silent
from server.acp.turn import Turn
from server.acp.uplink import CANCEL, Reply, reply_frame
from server.errors import ServiceError
from server.turn.dialect import Spoken
from server.turn.limits import Limits
from server.turn.live import Cause, Interrupted, LiveTurn
from server.turn.watchdog import Watchdog
from server.upstream.socket import Socket


class Follower:
    """Follows one turn, over one socket or over several in a row."""

    def __init__(self, live: LiveTurn, machine: Turn, spoken: Spoken, limits: Limits) -> None:
        self._live = live
        self._machine = machine
        self._spoken = spoken
        self._decoder = Decoder()
        self._decode = self._decoder.decode
        self._clock = asyncio.get_running_loop().time
        self._limits = limits
        self._socket: Socket | None = None
        self._scope = asyncio.timeout(None)
        self._bark: ServiceError | None = None
        self._watchdog: Watchdog
        self._on_sign: Callable[[], None] | None = None
        self._first_due: float | None = None
        self._last: list[TaskEvent] = []
        self.deaf = False

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

    @property
    def began(self) -> bool:
        """True once the platform showed a sign of the agent."""
        return self._machine.began

    async def follow(self, socket: Socket) -> list[TaskEvent]:
        """Follow the turn until the platform ends it and return its last events, yet to be told.

        Returns nothing when the platform gave the socket up (`machine.severed`).
        Raises UPSTREAM_LOST when the socket is lost, FIRST_EVENT_TIMEOUT or
        IDLE_TIMEOUT when it went silent, and Interrupted when the agent did not
        end an interrupted turn in time.
        """
        self._machine.severed = None
        if self._first_due is None:
            self._first_due = self._clock() + self._limits.first_event
        self._watchdog = Watchdog(
            idle=self._limits.idle,
            first=self._limits.first_event,
            first_due=self._first_due,
            began=lambda: self._machine.began,
            bark=self._barked,
        )
        self._socket = socket
        try:
            async with asyncio.timeout(None) as self._scope:
                self._live.answerer = self._answer
                if self._vm_is_up:
                    self._live.on_interrupt = self._interrupt
                    if self._live.cause is not None:
                        self._interrupt()
                await socket.each(self._receive)
        except TimeoutError:
            if self._live.cause is not None:
                raise Interrupted(self._live.cause) from None
            if (bark := self._bark) is not None:
                self._bark = None
                if self._vm_is_up:
                    self._send(CANCEL)  # for what it is worth: nobody will read the answer
                raise bark from None
            raise
        finally:
            self._watchdog.stop()
            self._spoken.learn(self._decoder)
            self._socket = None
            self._live.on_interrupt = self._live.answerer = None
        return self._last

    @property
    def _vm_is_up(self) -> bool:
        return self._first_due != inf

    def _receive(self, message: bytes) -> bool:
        """Take one frame; True says that the socket is done with."""
        machine = self._machine
        self._watchdog.last_frame = self._clock()
        frame = self._decode(message)
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
        if self._machine.began:
            self._on_sign = None
            on_sign()

    def _barked(self, error: ServiceError) -> None:
        self._bark = error
        self._scope.reschedule(self._clock())

    def _interrupt(self) -> None:
        """Ask the agent to stop and give it a while to say that it did.

        Without its lease the turn may not send a thing: another holder may have the account.
        """
        cause = self._live.cause
        if cause is None:
            return
        self._machine.interrupt(cause.end_reason, cause.error.message, cause.error.reason)
        if cause is Cause.LEASE_LOST:
            self._scope.reschedule(self._clock())
            return
        self._scope.reschedule(self._clock() + self._limits.cancel)
        self._send(CANCEL)

    def _answer(self, question_id: str, answers: list[Answer], decline: bool) -> None:
        """Answer a question for a caller. Raises QUESTION_NOT_FOUND or INVALID_REQUEST."""
        try:
            events = self._machine.answer(question_id, answers, decline=decline)
        except LookupError:
            raise ServiceError(
                ErrorReason.ERROR_REASON_QUESTION_NOT_FOUND, "the turn has no such open question"
            ) from None
        except ValueError as error:
            raise ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, f"answers: {error}") from None
        self._live.tell(events)
        for reply in self._machine.to_send():
            self._send(self._spelled(reply))

    def _spelled(self, reply: Reply) -> str:
        """Spell a reply as the frames so far teach: a first turn may ask before it ends."""
        self._spoken.learn(self._decoder)
        return reply_frame(reply, self._spoken.dialect)

    def _send(self, frame: str) -> None:
        if self._socket is not None:
            with suppress(ServiceError):  # who reads meets the loss, after what was told before it
                self._socket.send(frame)
