"""The credit of one turn on a Relay.

PURE. The window counts serialized event bytes: what is sent is spent, what the
receiver has passed on it grants anew.
"""

from typing import Final

INITIAL_BYTES: Final = 262_144


class Window:
    """What one tag may be sent, in bytes.

    Events are sent while the credit is above 0, so that one event may be larger
    than what is left of it.
    """

    __slots__ = ("credit",)

    def __init__(self, credit: int = INITIAL_BYTES) -> None:
        self.credit = credit
        """How many bytes may be sent; none when it is not above 0."""

    def spend(self, size: int) -> None:
        """Take note of a frame of `size` bytes."""
        self.credit -= size

    def grant(self, size: int) -> None:
        """Add credit."""
        self.credit += size
