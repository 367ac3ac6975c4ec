"""Who speaks in which conversation at this server, and who waits to."""

import asyncio
from collections import deque


class Speakers:
    """One turn at a time per conversation, the others in the order of their coming."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def take(self, conversation_id: str) -> bool:
        """Take a conversation that is nobody's; False where it is somebody's."""
        if conversation_id in self._waiting:
            return False
        self._waiting[conversation_id] = deque()
        return True

    async def wait(self, conversation_id: str) -> None:
        """Wait for a conversation behind those who wait already, and take it."""
        if self.take(conversation_id):
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[conversation_id].append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self.leave(conversation_id)
            raise

    def leave(self, conversation_id: str) -> None:
        """Let the next one have it."""
        waiting = self._waiting[conversation_id]
        while waiting:
            first = waiting.popleft()
            if not first.done():
                first.set_result(None)
                return
        del self._waiting[conversation_id]
