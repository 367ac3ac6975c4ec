"""Hears which accounts other replicas changed: LISTEN on a connection of its own."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from server.pool.account import AccountId
from server.pool.ledger import Changed
from server.store.postgres.connections import Connection
from server.store.postgres.failures import FAILED

_log = logging.getLogger(__name__)

CHANNEL: Final = "howler"
_KEEPALIVE: Final = 5.0  # seconds between two proofs that the connection lives
_PAUSE: Final = (0.05, 1.0)  # seconds before the next try to connect; at most


class Listener:
    """Calls `changed`, where one was set, with what others say; with None when it may have missed something.

    A replica says its name and the accounts that it changed, with commas between ("" is the platform).
    """

    def __init__(self, replica: str, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._replica = replica
        self._connect = connect
        self._task: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self.changed: Changed | None = None

    async def open(self) -> None:
        """Begin to listen. Raises what connecting raises."""
        connection = await self._begin()
        self._task = asyncio.create_task(self._listen(connection), name="store listener")

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _begin(self) -> Connection:
        connection = await self._connect()
        try:
            self._gone = gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(CHANNEL, self._heard)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _listen(self, connection: Connection) -> None:
        while True:
            try:
                await self._stay(connection)
            except FAILED as error:
                _log.warning("database: the connection that listens was lost: %s", type(error).__name__)
            finally:
                connection.terminate()
            connection = await self._again()
            _log.info("database: listening again")
            self._tell(None)

    async def _stay(self, connection: Connection) -> None:
        """Return when the connection is gone; a silent one is asked whether it lives."""
        while not self._gone.is_set():
            try:
                async with asyncio.timeout(_KEEPALIVE):
                    await self._gone.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")

    async def _again(self) -> Connection:
        pause = _PAUSE[0]
        while True:
            try:
                return await self._begin()
            except FAILED:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE[1])

    def _heard(self, _connection: Any, _pid: int, _channel: str, said: object) -> None:
        replica, *accounts = str(said).split(",")
        if replica != self._replica:
            self._tell(frozenset(map(AccountId, accounts)))

    def _tell(self, accounts: frozenset[AccountId] | None) -> None:
        if self.changed is not None:
            self.changed(accounts)
