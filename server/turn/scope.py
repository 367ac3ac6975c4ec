"""Ends from outside what a task awaits: as asyncio.timeout does, for less, since a turn has many of them."""

import asyncio
from types import TracebackType
from typing import Any


class Scope:
    """The body of a `with`, which TimeoutError leaves where it was ended. Use it once."""

    __slots__ = ("_before", "_ending", "_is_ended", "_task")

    def __init__(self) -> None:
        self._ending: asyncio.Handle | None = None
        self._is_ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "whatever awaits is a task"
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()

    def end(self, at: float | None = None) -> None:
        """End it at a time of the loop's clock, or now; what was said before counts no more."""
        if self._is_ended:
            return  # it is about to leave
        if self._ending is not None:
            self._ending.cancel()
        loop = asyncio.get_running_loop()
        self._ending = loop.call_soon(self._cancel) if at is None else loop.call_at(at, self._cancel)

    def _cancel(self) -> None:
        self._is_ended = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended, self._is_ended = self._is_ended, True  # who would end it now comes too late
        if self._ending is None:
            return
        self._ending.cancel()
        if ended and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error
