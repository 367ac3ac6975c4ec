"""Says of a turn that is not in this process which replica runs it."""

import asyncio
from typing import Final

from server.pool.account import TaskId
from server.store.addresses import Addresses, Owner
from server.turn.hub import Hub

PAUSE: Final = 0.25
"""Seconds between two looks for whoever runs a turn."""


class Owners:
    """The other replicas, as owners of turns. Every call raises StoreError."""

    def __init__(self, hub: Hub, addresses: Addresses) -> None:
        self._hub = hub
        self._addresses = addresses
        self.ttl = addresses.ttl

    async def of_turn(self, turn_id: str) -> Owner | None:
        """Return who runs a turn; None where that is this process, or nobody: the hub knows which.

        One whose owner is dead is waited for: somebody adopts it soon. Raises SHUTTING_DOWN for one that
        this process has left.
        """
        while not self._hub.has(turn_id):
            owner = await self._addresses.of_turn(turn_id)
            if owner is None or self._is_other(owner):
                return owner
            if owner.replica == self._addresses.replica:
                self._hub.check_open()
            await asyncio.sleep(PAUSE)
        return None

    async def now(self, turn_id: str) -> Owner | None:
        """Return which other replica, that lives, runs a turn at the moment."""
        owner = await self._addresses.of_turn(turn_id)
        return owner if owner is not None and self._is_other(owner) else None

    async def of_task(self, task_id: TaskId) -> Owner | None:
        """Return which other replica, that lives, runs a turn on a task at the moment."""
        owner = await self._addresses.of_task(task_id)
        return owner if owner is not None and self._is_other(owner) else None

    def _is_other(self, owner: Owner) -> bool:
        return owner.alive and owner.replica != self._addresses.replica
