"""Tells everybody who watches the pool what happens in it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import Account, WatchResponse

from server.errors import ServiceError

_E = ErrorReason
KEPT: Final = 1000
"""Events that are remembered: so far a watcher may be behind, and so far back a cursor may lie."""


class Watchers:
    """Everybody who watches; a watcher is a place in the ring of the last events.

    `now` is the wall clock in seconds since 1970. `replica` names this process in cursors, which are
    `<replica>:<number of the event>`: another process counts other events.
    Before anybody watched nobody can have a cursor, and nothing is kept.
    """

    def __init__(self, now: Callable[[], float], replica: Callable[[], str]) -> None:
        self._now = now
        self._replica = replica
        self._ring: deque[WatchResponse] = deque(maxlen=KEPT)
        self._told = 0
        self._wakes: set[asyncio.Event] = set()
        self._closed = False
        self._wanted = False
        self._heeding: list[tuple[Collection[PoolEvent], Callable[[], None]]] = []

    def __len__(self) -> int:
        return len(self._wakes)

    def heed(self, events: Collection[PoolEvent], call: Callable[[], None]) -> None:
        """Have `call` called at each event of these kinds, from now on."""
        self._heeding.append((events, call))

    def tell(self, event: PoolEvent, account: Callable[[], Account]) -> None:
        """Tell an event to all; `account` returns the account as it is shown."""
        for events, call in self._heeding:
            if event in events:
                call()
        if not self._wanted:
            return
        self._told += 1
        self._ring.append(self._message(event, account(), self._told))
        for wake in self._wakes:
            wake.set()

    async def watch(
        self, snapshot: Callable[[], Iterable[Account]], after: str = ""
    ) -> AsyncGenerator[WatchResponse, None]:
        """Yield the events behind the cursor `after`, then every event, until the caller leaves.

        Begins with a SNAPSHOT per account where there is no cursor, or not one that leads to an event which
        is still remembered. Raises SLOW_CONSUMER when the caller is too far behind, SHUTTING_DOWN when the
        pool closes.
        """
        self._wanted = True
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            read = self._place(after)
            if read is None:
                read = self._told
                for account in list(snapshot()):
                    yield self._message(PoolEvent.POOL_EVENT_SNAPSHOT, account, read)
            while True:
                unread = self._told - read
                if unread > len(self._ring):
                    raise ServiceError(
                        _E.ERROR_REASON_SLOW_CONSUMER, f"more than {KEPT} events of the pool were not read"
                    )
                for message in [
                    self._ring[-number] for number in range(unread, 0, -1)
                ]:  # they are at its end
                    read += 1
                    yield message
                if read < self._told:
                    continue
                if self._closed:
                    raise ServiceError(_E.ERROR_REASON_SHUTTING_DOWN, "Howler is shutting down")
                wake.clear()
                await wake.wait()
        finally:
            self._wakes.discard(wake)

    def close(self) -> None:
        """End all, once they have read what was told."""
        self._closed = True
        for wake in self._wakes:
            wake.set()

    def _place(self, after: str) -> int | None:
        """Return the number of the event that a cursor names, if those behind it are all remembered."""
        replica, _, number = after.rpartition(":")
        if replica != self._replica() or not (number.isascii() and number.isdigit() and len(number) < 20):
            return None
        read = int(number)
        return read if self._told - len(self._ring) <= read <= self._told else None

    def _message(self, event: PoolEvent, account: Account, number: int) -> WatchResponse:
        return WatchResponse(
            time_unix_ms=int(self._now() * 1000),
            event=event,
            account=account,
            cursor=f"{self._replica()}:{number}",
        )
