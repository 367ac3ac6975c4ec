"""The connections to the platform: opened when one is needed, kept for a while."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from server.upstream.connection import Connection

_KEPT: Final = 15.0  # seconds that a connection may be idle
_PORTS: Final = {"http": 80, "https": 443}


class Connections:
    """Connections to one origin; any number may be in use."""

    def __init__(self, base_url: str, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._idle: list[Connection] = []  # the one used last comes last

    def kept(self, within: float = _KEPT) -> Connection | None:
        """Take an idle connection that was in use `within` so many seconds."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_open:
                continue
            if now - connection.idle_since <= within:
                return connection
            self._idle.append(connection)
            break
        while self._idle and now - self._idle[0].idle_since > _KEPT:
            self._idle.pop(0).close()
        return None

    async def new(self) -> Connection:
        """Open a connection. Raises OSError, TimeoutError among them."""
        async with asyncio.timeout(self._connect_timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, self._host, self._port, ssl=self._tls
            )
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call, if it takes one."""
        if connection.is_open:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()
