"""Tells the other replicas, for as long as this one serves, where it is reached."""

import asyncio
import logging
from contextlib import suppress
from typing import Self

from server.errors import incident
from server.store.addresses import Addresses
from server.store.errors import StoreError

_log = logging.getLogger(__name__)


class Presence:
    """This replica's row among the addresses, renewed every `period` seconds. Use as a context manager."""

    def __init__(self, addresses: Addresses, address: str, period: float) -> None:
        self._addresses = addresses
        self._address = address
        self._period = period
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Tell it. Raises StoreError."""
        await self._addresses.renew(self._address)
        self._renewing = asyncio.create_task(self._renew(), name="presence")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take it back; where the store is away it lapses."""
        assert self._renewing is not None
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        with suppress(StoreError):
            await self._addresses.leave()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._period)
            try:
                await self._addresses.renew(self._address)
            except StoreError as error:
                _log.warning("other replicas do not hear where this one is: %s", error)
            except Exception as error:  # without a row others would take its turns for a dead one's
                incident(error, "presence")
