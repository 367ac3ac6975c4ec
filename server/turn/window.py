"""The credit of one turn on a Relay.

PURE. The window counts serialized event bytes: what is sent is spent, what the
receiver has passed on it grants anew, and thereby confirms.
"""

from collections import deque
from typing import Final

INITIAL_BYTES: Final = 262_144


class Window:
    """What one tag may be sent, in bytes.

    Events are sent while the credit is above 0, so that one event may be larger
    than what is left of it.
    """

    __slots__ = ("_credit", "_sent", "_unconfirmed")

    def __init__(self, credit: int = INITIAL_BYTES) -> None:
        self._credit = credit
        self._sent: deque[tuple[int, int]] = deque()  # (the seq behind a frame, its bytes), oldest first
        self._unconfirmed = 0  # bytes granted that do not make up the oldest frame yet

    @property
    def credit(self) -> int:
        """How many bytes may be sent; none when it is not above 0."""
        return self._credit

    def spend(self, size: int, next_seq: int) -> None:
        """Take note of a frame of `size` bytes that ends before `next_seq`."""
        self._credit -= size
        self._sent.append((next_seq, size))

    def grant(self, size: int) -> int | None:
        """Add credit; return the seq before which everything has arrived, None where no frame is through."""
        self._credit += size
        self._unconfirmed += size
        confirmed = None
        while self._sent and self._sent[0][1] <= self._unconfirmed:
            confirmed, through = self._sent.popleft()
            self._unconfirmed -= through
        return confirmed
