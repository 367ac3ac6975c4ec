"""Lets operations run at the same time, except where their order matters."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeVar

T = TypeVar("T")
EVERYTHING: Final = None
"""In place of keys: after all that was called before."""


class Order:
    """Operations that share a key take effect in the order of their calls, all others side by side.

    An operation whose caller is cancelled is carried out all the same.
    """

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[Any]] = {}
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, keys: Collection[str] | None, operation: Callable[[], Awaitable[T]]) -> T:
        """Return what the operation returns."""
        if keys is EVERYTHING:
            before = set(self._running)
            keys = ()
        else:
            before = {self._last[key] for key in keys if key in self._last}
        task = asyncio.create_task(_after(before, operation))
        self._running.add(task)
        for key in keys:
            self._last[key] = task

        def ended(_: asyncio.Task[T]) -> None:
            self._running.discard(task)
            for key in keys:
                if self._last.get(key) is task:
                    del self._last[key]

        task.add_done_callback(ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_heard)  # nobody else would ask how it ended
            raise

    async def settled(self) -> None:
        """Wait until all that was called has ended."""
        while self._running:
            await asyncio.wait(set(self._running))


async def _after(before: Collection[asyncio.Task[Any]], operation: Callable[[], Awaitable[T]]) -> T:
    if before:
        await asyncio.wait(before)
    return await operation()


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
