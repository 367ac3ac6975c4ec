"""The stream of a turn's task: one socket at a time, closed by whoever opens the next or ends the turn."""

from collections.abc import Awaitable

from server.upstream.platform import Opening, Socket


class Stream:
    """What a turn has open. `asked` is the socket that was asked for and nobody has opened yet."""

    def __init__(self) -> None:
        self.asked: Opening | None = None
        self._open: Opening | None = None

    def ask(self, opening: Opening) -> None:
        """Ask for the socket that is opened first, where that takes no wait."""
        self.asked = opening
        opening.begin()

    def open(self, opening: Opening) -> Awaitable[Socket]:
        """Open a socket. Raises as Opening does."""
        self.asked, self._open = None, opening
        return opening.open()

    async def close(self) -> None:
        """Close what is open or was asked for."""
        for opening in (self.asked, self._open):
            if opening is not None:
                await opening.close()
        self.asked = self._open = None
