"""Makes sure that an agent is idle again after a turn of a held task was lost.

Until the platform says that the turn is over, the next turn on the task would be
told its words and its end.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from server.acp.decode import Decoder
from server.acp.frames import Echo, Over
from server.acp.uplink import CANCEL
from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.upstream.platform import Platform
from server.upstream.socket import Socket


class Settlement:
    """Cancels what runs on a task and waits until it is over."""

    def __init__(
        self,
        platform: Platform,
        session: Callable[[], Session],
        task_id: TaskId,
        prompt: str,
        limit: float,
    ) -> None:
        """`limit` is the seconds that a cancel may take; `session` raises where it is no more."""
        self._platform = platform
        self._session = session
        self._task_id = task_id
        self._prompt = prompt
        self._limit = limit

    async def settle(self) -> bool:
        """Return whether the platform said, within the time for a cancel, that the turn is over."""
        with suppress(ServiceError, TimeoutError):
            async with (
                asyncio.timeout(self._limit),
                self._platform.stream(self._session(), self._task_id, "attach") as socket,
            ):
                socket.send(CANCEL)
                return await self._ended(socket)
        return False

    async def _ended(self, socket: Socket) -> bool:
        """Read to the end of the newest turn; tell whether it was ours, by its prompt (§6.8)."""
        decode = Decoder().decode
        ours = False

        def take(message: bytes) -> bool:
            nonlocal ours
            frame = decode(message)
            if isinstance(frame, Echo):
                ours = frame.text == self._prompt
            return isinstance(frame, Over)

        await socket.each(take)
        return ours
