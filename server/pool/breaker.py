"""The breaker of the platform: failures in a row that are no account's fault cool it as a whole. PURE."""

from typing import Final

THRESHOLD: Final = 5
"""Failures in a row: more than the tries of one turn (server/turn/grant.py), so that none trips it alone."""

FIRST: Final = 5.0
LONGEST: Final = 60.0  # seconds


class Breaker:
    """Counts failures; a success forgets them all."""

    def __init__(self) -> None:
        self._failures = 0
        self._trips = 0

    def failed(self, *, probe: bool) -> float:
        """Return for how many seconds the platform cools now, 0 for not yet.

        `probe` says that the failure is of the turn that was let through to try the platform again.
        """
        self._failures += 1
        if self._failures < THRESHOLD and not probe:
            return 0.0
        seconds = min(FIRST * 2.0 ** min(self._trips, 16), LONGEST)
        self._failures = 0
        self._trips += 1
        return seconds

    def succeeded(self) -> None:
        """Take note that the platform took a turn."""
        self._failures = self._trips = 0
