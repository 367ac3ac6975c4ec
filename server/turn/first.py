"""Follows the first turn of a new task.

It runs from the create's `content` by itself (upstream-protocol §6.7, §6.8). The
stream is attached to at once: it waits for an agent that does not run yet (§6.8),
and brings its first words sooner than a question after the VM would.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final, Literal

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import TaskEvent

from server.acp.uplink import Dialect, FrameTooLarge, prompt_frame
from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.turn.boot import Boot
from server.turn.follow import Follower
from server.turn.live import LiveTurn
from server.turn.rooms import Rooms
from server.turn.stream import Stream
from server.upstream.platform import Socket

_E = ErrorReason
_PAUSES: Final = (0.25, 4.0)  # seconds between tries to attach, at first and at most
_FIRST_LOOK: Final = 0.1  # seconds in which an agent that answers at once is not asked after
_DEAF: Final = 0.1  # share of the first event's time after which a stream that brought nothing is replaced


class FirstTurn:
    """Attaches, looks after the VM while nothing comes, and follows the turn to its end.

    `approval` is the frame that says what becomes of requests for approval; `session` gives what its calls
    need.
    """

    def __init__(
        self,
        live: LiveTurn,
        rooms: Rooms,
        follower: Follower,
        stream: Stream,
        *,
        task_id: TaskId,
        session: Callable[[], Session],
        approval: str,
        prompt: str,
    ) -> None:
        self._live = live
        self._rooms = rooms
        self._follower = follower
        self._stream = stream
        self._task_id = task_id
        self._session = session
        self._approval = approval
        self._prompt = prompt
        self._clock = asyncio.get_running_loop().time
        self._up = asyncio.Event()
        self._until = inf  # when the last try to attach is due
        self._socket: Socket | None = None
        self._minding: asyncio.Task[None] | None = None

    async def follow(self) -> list[TaskEvent]:
        """Return the turn's last events, yet to be told.

        Raises Interrupted, what Boot and Follower raise, and what a socket was refused with.
        """
        self._follower.await_vm(self._came_up)
        looking = asyncio.get_running_loop().call_later(_FIRST_LOOK, self._start_minding)
        try:
            with self._live.waiting():
                return await self._attach()
        except ServiceError as error:
            if error.reason != _E.ERROR_REASON_FIRST_EVENT_TIMEOUT or not await self._never_ran():
                raise
        finally:
            looking.cancel()
            if self._minding is not None:
                self._minding.cancel()
        return await self._say_it_again()

    def _start_minding(self) -> None:
        if not self._up.is_set():
            self._minding = asyncio.create_task(self._mind_vm())

    async def _mind_vm(self) -> None:
        """Look after the VM until it runs; replace a stream that was opened before and turns out to be deaf.

        That a stream waits for its agent is how the backend reads; nobody has seen it (§12.5).
        """
        rooms = self._rooms
        try:
            await Boot(self._live, rooms.platform, rooms.pool, self._session, rooms.limits).ready()
        except Exception as error:  # a bug, too, ends the turn
            self._live.break_off(error)
            return
        early = self._socket
        self._came_up()
        await asyncio.sleep(self._rooms.limits.first_event * _DEAF)
        if early is not None and early is self._socket and self._follower.deaf:
            early.close()

    def _came_up(self) -> None:
        """Take note that the VM runs: somebody saw it, or the agent itself was heard."""
        if self._up.is_set():
            return
        self._up.set()
        self._until = self._clock() + self._rooms.limits.first_event
        self._follower.vm_runs()
        if self._minding is not None and self._follower.began:
            self._minding.cancel()

    async def _attach(self) -> list[TaskEvent]:
        """Attach until the agent shows itself: a fresh task may refuse for a while (§5.2, §12.5)."""
        pause = _PAUSES[0]
        while True:
            try:
                events = await self._follow_once("attach")
                if events:
                    return events
                lost = ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, "the platform gave the stream up")
            except ServiceError as error:
                if error.reason == _E.ERROR_REASON_FIRST_EVENT_TIMEOUT and self._up.is_set():
                    raise
                lost = error
            if self._follower.began or self._clock() + pause > self._until:
                raise lost
            self._socket = None
            await self._stream.close()
            pause = await self._paused(pause)

    async def _paused(self, seconds: float) -> float:
        """Wait, but not for long once the VM runs; return how long to wait the next time."""
        if self._up.is_set():
            await asyncio.sleep(seconds)
            return min(seconds * 2, _PAUSES[1])
        try:
            async with asyncio.timeout(seconds):
                await self._up.wait()
        except TimeoutError:
            return min(seconds * 2, _PAUSES[1])
        return _PAUSES[0]

    async def _follow_once(self, mode: Literal["attach", "new"], *frames: str) -> list[TaskEvent]:
        asked = self._stream.asked or self._rooms.platform.stream(self._session(), self._task_id, mode)
        self._socket = socket = await self._stream.open(asked)
        with suppress(ServiceError):  # a socket that is closed already may hold what to read
            socket.send(self._approval)
        for frame in frames:
            socket.send(frame)
        return await self._follower.follow(socket, gapless=mode == "new")

    async def _never_ran(self) -> bool:
        """Tell whether a backend of an older dialect left the create's `content` alone (§10, first turn).

        The platform itself always runs it, so toward it a prompt is never sent again.
        """
        if self._rooms.spoken.dialect is Dialect.NATIVE:
            return False
        try:
            stored = await self._rooms.platform.rounds(self._session(), self._task_id)
        except ServiceError:
            return False  # not known to be idle: better silent than run twice
        return all(chunk.event == "user-input" for chunk in stored)

    async def _say_it_again(self) -> list[TaskEvent]:
        try:
            frame = prompt_frame(self._prompt, self._rooms.spoken.dialect)
        except FrameTooLarge as error:
            raise ServiceError(_E.ERROR_REASON_PROMPT_TOO_LARGE, f"the prompt makes {error}") from None
        await self._stream.close()
        self._follower.ask_anew()
        return await self._follow_once("new", frame)
