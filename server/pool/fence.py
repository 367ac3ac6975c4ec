"""The fence between a lease's holder and the platform: what lapsed sends nothing more.

It reads CLOCK_MONOTONIC itself, at every check: an event loop's time stands still while its process does.
"""

import time
from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError


class Fence:
    """Whether the holder of a lease may still send. Shut until it is extended; once fallen it stays so."""

    __slots__ = ("_on_fall", "fallen", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.fallen = False
        self._on_fall: list[Callable[[], None]] = []

    @property
    def holds(self) -> bool:
        """The lease is believed in."""
        return not self.fallen and time.monotonic() < self.until

    def check(self) -> None:
        """Raise LEASE_LOST, and fall, unless the lease is believed in. To be called right before a write."""
        if self.fallen or time.monotonic() >= self.until:
            self.fall()
            raise lost()

    def fall(self) -> None:
        """Shut for good, and tell all who watch."""
        if not self.fallen:
            self.fallen = True
            told, self._on_fall = self._on_fall, []
            for tell in told:
                tell()

    def watch(self, tell: Callable[[], None]) -> None:
        """Call `tell` when it falls, at once if it has."""
        if self.fallen:
            tell()
        else:
            self._on_fall.append(tell)

    def unwatch(self, tell: Callable[[], None]) -> None:
        """Do not call `tell` any more."""
        if tell in self._on_fall:
            self._on_fall.remove(tell)


def lost() -> ServiceError:
    """Return what the holder of a lease that lapsed is told."""
    return ServiceError(ErrorReason.ERROR_REASON_LEASE_LOST, "the lease lapsed or was released")
