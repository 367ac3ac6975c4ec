"""Notices that a turn's socket went silent, at the cost of one clock reading per frame."""

import asyncio
from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError


class Watchdog:
    """Barks once, when no frame came for `idle` seconds or no sign of the agent by `first_due`.

    `first_due` is a time of the loop's clock, infinite where the agent cannot be
    expected yet (see `expect`), `first` the seconds that led to it.
    `began` says whether the agent showed itself, `bark` is given the error.
    Frames are not timed one by one: a single timer looks at `last_frame`
    when the time would be over, and lies down again if one had come.
    """

    def __init__(
        self,
        *,
        idle: float,
        first: float,
        first_due: float,
        began: Callable[[], bool],
        bark: Callable[[ServiceError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle = idle
        self._began = began
        self._bark = bark
        self.last_frame = self._loop.time()
        self._first_due = first_due
        self._first = first
        self._lie_down()

    def expect(self, first_due: float) -> None:
        """Wait for a sign of the agent until then."""
        self._first_due = first_due
        if first_due < self._looks_at:  # else it is looked at in time
            self._timer.cancel()
            self._lie_down()

    def _lie_down(self) -> None:
        self._looks_at = self._due()
        self._timer = self._loop.call_at(self._looks_at, self._look)

    def _due(self) -> float:
        silent = self.last_frame + self._idle
        return silent if self._began() else min(silent, self._first_due)

    def _look(self) -> None:
        now = self._loop.time()
        if now < self._due():
            self._lie_down()
        elif now >= self.last_frame + self._idle:
            self._bark(
                ServiceError(
                    ErrorReason.ERROR_REASON_IDLE_TIMEOUT,
                    f"the platform sent nothing for {self._idle:g} s (HOWLER_IDLE_TIMEOUT)",
                )
            )
        else:
            self._bark(
                ServiceError(
                    ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT,
                    f"the agent gave no sign in {self._first:g} s (HOWLER_FIRST_EVENT_TIMEOUT)",
                )
            )

    def stop(self) -> None:
        """Lie down for good."""
        self._timer.cancel()
