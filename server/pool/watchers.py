"""Tells everybody who watches the pool what happens in it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Account, PoolEvent, WatchResponse

from server.errors import ServiceError

_E = ErrorReason
_BACKLOG: Final = 1000  # events that a watcher may be behind


@dataclass(eq=False, slots=True)
class _Watcher:
    unread: deque[WatchResponse]
    limit: int
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    end: ServiceError | None = None


class Watchers:
    """Everybody who watches; `now` is the wall clock in seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._watchers: set[_Watcher] = set()

    @property
    def present(self) -> bool:
        """Somebody watches."""
        return bool(self._watchers)

    def tell(self, event: PoolEvent, account: Account) -> None:
        """Tell an event to all; who is too far behind is ended."""
        message = self._message(event, account)
        for watcher in self._watchers:
            if len(watcher.unread) < watcher.limit:
                watcher.unread.append(message)
            else:
                watcher.unread.clear()
                watcher.end = ServiceError(
                    _E.ERROR_REASON_SLOW_CONSUMER, f"more than {_BACKLOG} events of the pool were not read"
                )
            watcher.wake.set()

    async def watch(self, snapshot: Callable[[], Iterable[Account]]) -> AsyncGenerator[WatchResponse, None]:
        """Yield a SNAPSHOT per account, then every event, until the caller leaves.

        Raises SLOW_CONSUMER when the caller is too far behind, SHUTTING_DOWN when the pool closes.
        """
        first = deque(self._message(PoolEvent.POOL_EVENT_SNAPSHOT, account) for account in snapshot())
        watcher = _Watcher(first, limit=len(first) + _BACKLOG)
        self._watchers.add(watcher)
        try:
            while True:
                while watcher.unread:
                    yield watcher.unread.popleft()
                if watcher.end is not None:
                    raise watcher.end
                watcher.wake.clear()
                await watcher.wake.wait()
        finally:
            self._watchers.discard(watcher)

    def close(self) -> None:
        """End all."""
        for watcher in self._watchers:
            watcher.end = ServiceError(_E.ERROR_REASON_SHUTTING_DOWN, "Howler is shutting down")
            watcher.wake.set()

    def _message(self, event: PoolEvent, account: Account) -> WatchResponse:
        return WatchResponse(time_unix_ms=int(self._now() * 1000), event=event, account=account)
