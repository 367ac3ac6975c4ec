"""Tells a turn whose log decides each byte, so that it can be told again."""

from collections.abc import Iterable

from facade.errors import ApiError
from facade.openai.heard import Heard
from facade.sse.pace import COMMENT
from facade.sse.stream import Stream


class Logged:
    """A stream that says nothing of its own accord but that it began."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def finished(self) -> bool:
        """See Stream."""
        return self._stream.finished

    def receive(self, events: Iterable[Heard]) -> bytes:
        """See Stream."""
        return self._stream.receive(events)

    def open(self) -> bytes:
        """Begin without a word: the first event names the model, which is not known yet."""
        return COMMENT

    def keep_alive(self) -> bytes:
        """Say nothing: the silences that count are events of the log."""
        return b""

    def abandon(self, error: ApiError) -> bytes:
        """See Stream."""
        return self._stream.abandon(error)
