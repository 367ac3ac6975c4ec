"""The open WebSockets as a whole: when the process goes, what is being answered is answered to its end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_PAUSE: Final = 0.05  # seconds between looks whether the last answer has ended


class Lines:
    """Counts the answers that run; none begins once they are `closing`."""

    def __init__(self) -> None:
        self.closing = False
        self._running = 0

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Count an answer while it runs."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def close(self) -> None:
        """Return when no answer runs, and none will."""
        self.closing = True
        while self._running:
            await asyncio.sleep(_PAUSE)
