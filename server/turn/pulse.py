"""Tells that a turn is alive while the platform is silent (StartTurn.keep_alive)."""

import asyncio
from collections.abc import Callable


class Pulse:
    """Beats after so many seconds of silence, and again and again. One timer, however much is told.

    `heard_at` says when something was told last, in seconds of the loop's clock.
    """

    def __init__(self, seconds: float, heard_at: Callable[[], float], beat: Callable[[], None]) -> None:
        self._seconds = seconds
        self._heard_at = heard_at
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        if self._heard_at() + self._seconds <= self._loop.time():
            self._beat()
        self._timer = self._loop.call_at(self._heard_at() + self._seconds, self._look)

    def stop(self) -> None:
        """Beat no more."""
        self._timer.cancel()
