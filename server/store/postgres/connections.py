"""A few connections to PostgreSQL, and what is done when they fail."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from server.store.errors import StoreError
from server.store.postgres.address import Address
from server.store.postgres.failures import FAILED, LOST, UNDONE, store_error

_log = logging.getLogger(__name__)
T = TypeVar("T")
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection  # generic in its stubs only

SIZE: Final = 8
"""Connections for statements, at most; the one that listens comes on top."""

RETRY_SECONDS: Final = 5.0
"""How long a statement is tried again while the database is away: a restart takes a second or two."""

CONNECT_SECONDS: Final = 3.0
STATEMENT_SECONDS: Final = 5.0  # then the connection counts as lost: no statement of ours takes long
_STOOD_STILL: Final = f"SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS:g}s'"
"""What a process that stands still has locked is free then. (No field of the startup: poolers refuse it.)"""
_PAUSE: Final = (0.02, 0.5)  # seconds before the second try; at most


class Connections:
    """Opened as they are needed, the one used last first; one that failed is thrown away."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(SIZE)
        self._closed = False
        self._met = False  # the database has answered once

    async def connect(self) -> Connection:
        """Return a connection of the caller's own. Raises what FAILED names."""
        connection = await asyncpg.connect(
            self._address.url,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={"application_name": "howler"},
        )
        await connection.execute(_STOOD_STILL)
        return connection

    async def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await _close(connection)

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, again: bool) -> T:
        """Return what the work returns.

        While the database is away it is tried again for RETRY_SECONDS; where a connection is lost under it,
        so that it may have been done, only if it may be done `again`. Raises StoreError.
        """
        loop = asyncio.get_running_loop()
        began, pause = loop.time(), _PAUSE[0]
        missed = ""
        async with self._places:
            while True:
                connection: Connection | None = None
                try:
                    connection = await self._one()
                    result = await work(connection)
                except FAILED as error:
                    self._back(connection, sound=not isinstance(error, LOST))
                    may_retry = isinstance(error, UNDONE) or (
                        isinstance(error, LOST) and (again or connection is None) and not _final(error)
                    )
                    if not may_retry or self._closed or loop.time() + pause > began + RETRY_SECONDS:
                        failure = store_error(error, self._address)
                        if self._met:  # at the start it is the process's last word anyway
                            _log.error("%s", failure)
                        raise failure from None  # its detail quotes rows
                    missed = missed or type(error).__name__
                except Exception:  # the work's own, which has ended its transaction
                    self._back(connection, sound=True)
                    raise
                except BaseException:
                    self._back(connection, sound=False)
                    raise
                else:
                    self._back(connection, sound=True)
                    self._met = True
                    if missed:
                        _log.info("database: done after %.1f s (%s)", loop.time() - began, missed)
                    return result
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE[1])

    async def _one(self) -> Connection:
        if self._closed:
            raise StoreError("the store is closed")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self.connect()

    def _back(self, connection: Connection | None, *, sound: bool) -> None:
        if connection is None:
            return
        if sound and not self._closed and not connection.is_closed() and not connection.is_in_transaction():
            self._idle.append(connection)
        else:
            connection.terminate()


def _final(error: BaseException) -> bool:
    """Another try would end the same way: the parameters cannot be meant."""
    return isinstance(error, asyncpg.ClientConfigurationError)


async def _close(connection: Any) -> None:
    try:
        await connection.close(timeout=1.0)
    except FAILED:
        connection.terminate()
