"""The tags of one Relay: which are taken, and when one may name another turn. No I/O."""

from collections import deque


class Tags:
    """Hands out 1, 2, 3 … and again those that are free, the one free longest first.

    A tag whose turn ended is free. One that was detached is not yet: frames of
    its turn may be on their way, and would be taken for those of the next. The
    server reads in order, so the first frame of a turn that was entered after
    the Detach proves that it was read, and that nothing more comes.
    """

    def __init__(self) -> None:
        self._highest = 0
        self._free: deque[int] = deque()
        self._entered = 0  # how many turns were entered so far
        self._unheard: dict[int, int] = {}  # tag -> which turn it names, until its first frame
        self._detached: deque[tuple[int, int]] = deque()  # a tag, and how many were entered by then

    def take(self) -> int:
        """Return a tag for one more turn."""
        if self._free:
            tag = self._free.popleft()
        else:
            self._highest += 1
            tag = self._highest
        self._entered += 1
        self._unheard[tag] = self._entered
        return tag

    def hear(self, tag: int) -> None:
        """Take note that a frame came for a tag that is taken; the first one suffices."""
        entered = self._unheard.pop(tag, 0)
        while self._detached and self._detached[0][1] < entered:
            self._free.append(self._detached.popleft()[0])

    def end(self, tag: int) -> None:
        """Take note that its turn is over, or that the server was never told of it."""
        self._unheard.pop(tag, None)
        self._free.append(tag)

    def detach(self, tag: int) -> None:
        """Take note that its turn was left."""
        self._unheard.pop(tag, None)
        self._detached.append((tag, self._entered))
