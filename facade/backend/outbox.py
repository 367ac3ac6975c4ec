"""What waits to be written on a Relay. No I/O."""

from collections import deque
from typing import Final

from howler.task.v1.relay_pb2 import Detach, Grant, RelayRequest

_MOST_TOGETHER: Final = 65_536
"""Bytes of the requests that one message takes; one that is larger goes by itself."""


class Outbox:
    """Requests in the order of asking; then grants, which are added up by tag while they wait.

    A message takes what waits together: to write one costs much more than to make it longer.
    """

    def __init__(self) -> None:
        self._requests: deque[RelayRequest] = deque()
        self._grants: dict[int, int] = {}

    def enter(self, request: RelayRequest) -> None:
        """Add a `start` or a `watch`."""
        self._requests.append(request)

    def withdraw(self, tag: int) -> None:
        """Drop the `start` or `watch` of a tag, which waits here."""
        place = next(place for place, request in enumerate(self._requests) if request.tag == tag)
        del self._requests[place]

    def grant(self, tag: int, size: int) -> None:
        """Add credit of `size` bytes."""
        self._grants[tag] = self._grants.get(tag, 0) + size

    def detach(self, tag: int) -> None:
        """Leave the tag's turn, which the server was asked for."""
        self.forget(tag)
        self._requests.append(RelayRequest(tag=tag, detach=Detach()))

    def forget(self, tag: int) -> None:
        """Drop the credit of a turn that is over."""
        self._grants.pop(tag, None)

    def take(self) -> list[RelayRequest]:
        """Return what is to be written next in one message; nothing where nothing waits."""
        waiting = self._requests
        if not waiting:
            grants, self._grants = self._grants, {}
            return [RelayRequest(tag=tag, grant=Grant(bytes=size)) for tag, size in grants.items()]
        taken = [waiting.popleft()]
        if waiting:
            size = taken[0].ByteSize()
            while waiting and (size := size + waiting[0].ByteSize()) <= _MOST_TOGETHER:
                taken.append(waiting.popleft())
        return taken
