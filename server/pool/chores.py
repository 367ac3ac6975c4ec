"""Work of the pool that no caller can cut short, and its one alarm clock."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from server.errors import ServiceError

_log = logging.getLogger(__name__)
T = TypeVar("T")
_AGAIN_AFTER: Final = 0.5  # seconds


class Chores:
    """Tasks that run to their end, or until `close`."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that nobody waits for; its failure is logged."""
        task = self._start(work)
        task.add_done_callback(_log_failure)
        return task

    async def settle(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work to its end even when the caller is cancelled meanwhile."""
        task = self._start(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)  # nobody else would hear of it
            raise

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait for its end."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _log_failure(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    if isinstance(error, ServiceError):
        _log.warning("pool: %r", error)
    else:
        _log.error("pool: a chore failed", exc_info=error)


async def repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do a work every so many seconds, for ever; one that fails is logged and tried again sooner."""
    while True:
        await asyncio.sleep(seconds)
        while True:
            try:
                await work()
            except Exception as error:
                _log.warning("pool: %s", error)
                await asyncio.sleep(min(seconds, _AGAIN_AFTER))
            else:
                break


class Alarm:
    """Calls back once, at the earliest of the moments it was set to (seconds of CLOCK_MONOTONIC)."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._when = math.inf

    def by(self, when: float) -> None:
        """Ring at `when`, unless it rings before; an infinite moment sets nothing."""
        if self._when <= when:
            return
        self.off()
        self._when = when
        self._handle = asyncio.get_running_loop().call_at(when, self._rang)

    def catch_up(self) -> None:
        """Ring now where the moment has come: a loop that is busy is late."""
        if self._when <= time.monotonic():
            self.off()
            self._ring()

    def off(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._when = None, math.inf

    def _rang(self) -> None:
        self._handle, self._when = None, math.inf
        self._ring()
