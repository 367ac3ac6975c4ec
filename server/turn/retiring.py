"""Ends what nobody speaks in any more: tasks of conversations, and conversations that keep no words."""

import asyncio
import logging
import time
from typing import Final

from server.errors import incident
from server.pool.pool import Pool
from server.store.conversations import Conversations
from server.store.errors import StoreError

_log = logging.getLogger(__name__)

_PERIOD: Final = 30.0  # seconds between two rounds, at most
_FORGOTTEN_AFTER: Final = 86_400.0  # seconds, of a conversation without words and without a task


class Retiring:
    """Stops the task of a conversation that was idle for `idle` seconds; it is dormant then."""

    def __init__(self, conversations: Conversations, pool: Pool, idle: float) -> None:
        self._conversations = conversations
        self._pool = pool
        self._idle = idle

    async def run(self) -> None:
        """Make a round every so often, for ever."""
        while True:
            await asyncio.sleep(min(_PERIOD, self._idle / 4))
            try:
                await self.once()
            except StoreError as error:
                _log.warning("idle conversations were not looked for: %s", error)
            except Exception as error:
                incident(error, "retiring")

    async def once(self) -> None:
        """Make a round; every server makes its own, and whoever has a task's lease first stops it."""
        now = time.time()
        for task_id in await self._conversations.idle(int((now - self._idle) * 1e6)):
            self._pool.retire(task_id)
        await self._conversations.forget(int((now - max(self._idle, _FORGOTTEN_AFTER)) * 1e6))
