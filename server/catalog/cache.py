"""Keeps the list of models: one refresh for all who wait, a stale list rather than none."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from server.catalog.listing import Listing
from server.errors import ServiceError

_log = logging.getLogger(__name__)

_FIRST_PAUSE, _LAST_PAUSE = 1.0, 60.0  # seconds between refreshes that fail, while a stale list serves
_SETTLE: Final = 0.2  # seconds in which changes are gathered before a refresh
TTL: Final = 300.0
_PARTIAL_TTL: Final = 15.0  # seconds; at first, and twice as many each time that an account stays silent


class Catalog:
    """The pool's models. `ttl` is how many seconds a list counts as fresh, `clock` counts seconds.

    Once there was a list of something, `listing` never waits and never fails: a
    stale list is served while it is refreshed, and through an outage. One that
    is not complete counts as fresh for a shorter time. A list in which nobody
    may use anything is asked for anew: an account may be back.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Listing]],
        clock: Callable[[], float] = time.time,
        ttl: float = TTL,
    ) -> None:
        self._load = load
        self._clock = clock
        self._ttl = ttl
        self._listing: Listing | None = None
        self._fresh_until = 0.0
        self._partial_ttl = 0.0
        self._pause = 0.0
        self._try_at = 0.0
        self._renewal: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task[Listing] | None = None

    async def listing(self) -> Listing:
        """Return the list. Raises what the refresh raises while there is none that holds a model."""
        if self._listing is None or not self._listing.models:
            return await self.refresh()
        now = self._clock()
        if now >= self._fresh_until and now >= self._try_at:
            self._begin()
        return self._listing

    async def refresh(self) -> Listing:
        """Fetch the list now and return it, joining a refresh that is under way.

        Raises ServiceError when that fails; the list known before stays in use then.
        """
        return await asyncio.shield(self._begin())

    async def settled(self) -> Listing:
        """Return the list with all changes that `renew` was told of: where there were some, wait for them.

        Raises ServiceError when the refresh that this takes fails.
        """
        if self._refreshing is not None:  # it may have begun before the change
            await asyncio.wait([self._refreshing])
        if self._renewal is None:
            return await self.listing()
        self._renewal.cancel()
        self._renewal = None
        return await self.refresh()

    def renew(self) -> None:
        """Refresh a list that there is, in the background: what it was made of has changed.

        Changes that come close together make one refresh.
        """
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(_SETTLE, self._renew)

    def _renew(self) -> None:
        self._renewal = None
        if self._refreshing is not None:  # it may have begun before the change
            self.renew()
        elif self._listing is not None:
            self._begin()

    async def close(self) -> None:
        """End a refresh that is under way or due."""
        if self._renewal is not None:
            self._renewal.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    def _begin(self) -> asyncio.Task[Listing]:
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._fetch(), name="refresh models")
            self._refreshing.add_done_callback(self._done)
        return self._refreshing

    async def _fetch(self) -> Listing:
        return await self._load()

    def _done(self, task: asyncio.Task[Listing]) -> None:
        self._refreshing = None
        if task.cancelled():
            return
        error = task.exception()  # asked for, so that nobody has to wait for it
        if error is None:
            self._keep(task.result())
        else:
            self._failed(error)

    def _keep(self, listing: Listing) -> None:
        if self._pause and self._listing is not None:
            _log.info("the list of models is fresh again")
        self._listing = listing
        self._partial_ttl = 0.0 if listing.complete else max(2 * self._partial_ttl, _PARTIAL_TTL)
        self._fresh_until = self._clock() + min(self._partial_ttl or self._ttl, self._ttl)
        self._pause = self._try_at = 0.0

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, ServiceError):
            _log.error("refreshing the list of models failed: a bug", exc_info=error)
        elif not self._pause:  # once per outage
            _log.warning("the list of models could not be refreshed: %s", error.message)
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LAST_PAUSE)
        self._try_at = self._clock() + self._pause
