"""Follows the first turn of a new task.

It runs from the create's `content` by itself (upstream-protocol §6.7, §6.8).
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
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

_E = ErrorReason
_PAUSES: Final = (0.25, 4.0)  # seconds between tries to attach, at first and at most
_SILENT: Final = (_E.ERROR_REASON_FIRST_EVENT_TIMEOUT, _E.ERROR_REASON_IDLE_TIMEOUT)


class FirstTurn:
    """Waits for the VM, attaches, and follows the turn to its end.

    `approval` is the frame that says what becomes of requests for approval;
    `sockets` owns what is opened, `session` gives what its calls need.
    """

    def __init__(
        self,
        live: LiveTurn,
        rooms: Rooms,
        follower: Follower,
        sockets: AsyncExitStack,
        *,
        task_id: TaskId,
        session: Callable[[], Session],
        approval: str,
        prompt: str,
    ) -> None:
        self._live = live
        self._rooms = rooms
        self._follower = follower
        self._sockets = sockets
        self._task_id = task_id
        self._session = session
        self._approval = approval
        self._prompt = prompt

    async def follow(self) -> list[TaskEvent]:
        """Return the turn's last events, yet to be told.

        Raises Interrupted, what Boot and Follower raise, and what a socket was refused with.
        """
        rooms = self._rooms
        await Boot(self._live, rooms.platform, rooms.pool, self._session, rooms.limits).ready()
        try:
            return await self._attach()
        except ServiceError as error:
            if error.reason != _E.ERROR_REASON_FIRST_EVENT_TIMEOUT or not await self._never_ran():
                raise
        return await self._say_it_again()

    async def _attach(self) -> list[TaskEvent]:
        """Attach until the agent shows itself: a fresh task may refuse for a moment (§5.2, §12.5)."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._rooms.limits.first_event
        pause = _PAUSES[0]
        while True:
            try:
                events = await self._follow_once("attach")
                if events:
                    return events
                lost = ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, "the platform gave the stream up")
            except ServiceError as error:
                if error.reason in _SILENT:
                    raise
                lost = error
            if self._follower.began or loop.time() + pause > until:
                raise lost
            await self._sockets.aclose()
            async with self._live.waiting():
                await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSES[1])

    async def _follow_once(self, mode: Literal["attach", "new"], *frames: str) -> list[TaskEvent]:
        socket = await self._sockets.enter_async_context(
            self._rooms.platform.stream(self._session(), self._task_id, mode)
        )
        with suppress(ServiceError):  # a socket that is closed already may hold what to read
            socket.send(self._approval)
        for frame in frames:
            socket.send(frame)
        return await self._follower.follow(socket)

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
        await self._sockets.aclose()
        self._follower.ask_anew()
        return await self._follow_once("new", frame)
