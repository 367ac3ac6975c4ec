"""The connections to the platform: opened when one is needed or before, kept for a while."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.upstream.connection import Connection

_E = ErrorReason
_KEPT: Final = 15.0  # seconds that a connection may be idle
_PORTS: Final = {"http": 80, "https": 443}


class Connections:
    """Connections to one origin; any number may be in use.

    `host` is its name as a request spells it, `connect_timeout` how many seconds connecting may take.
    """

    def __init__(self, base_url: str, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        parts = urlsplit(base_url)
        self.host = parts.netloc.encode("idna").decode()
        self._address = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self.connect_timeout = connect_timeout
        self._idle: list[Connection] = []  # the one used last comes last
        self._unused: list[Connection] = []  # prepared; the one opened last comes last
        self._opening: list[asyncio.Task[Connection]] = []  # those will be

    def kept(self, within: float = _KEPT) -> Connection | None:
        """Take an idle connection that was in use `within` so many seconds."""
        return self._taken(self._idle, within)

    def ready(self) -> Connection | None:
        """Take a connection that was prepared, if one is open by now."""
        return self._taken(self._unused, _KEPT)

    def _taken(self, idle: list[Connection], within: float) -> Connection | None:
        """Take the last that is open and young enough, and close what has been idle for too long."""
        now = self._loop.time()
        found = None
        while idle and found is None:
            connection = idle.pop()
            if not connection.is_open:
                continue
            if now - connection.idle_since > within:
                idle.append(connection)
                break
            found = connection
        while idle and now - idle[0].idle_since > _KEPT:
            idle.pop(0).close()
        return found

    async def new(self) -> Connection:
        """Open a connection. Raises CONNECT_TIMEOUT and UPSTREAM_UNAVAILABLE."""
        try:
            async with asyncio.timeout(self.connect_timeout):
                _, connection = await self._loop.create_connection(
                    Connection, self._address, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise connect_timeout(self.connect_timeout) from None
        except OSError as error:
            raise unreachable(error) from None
        return connection

    def prepare(self) -> None:
        """Begin to open a connection that `ready` or `unused` returns: somebody will need one soon."""
        opening = self._loop.create_task(self.new())
        self._opening.append(opening)
        opening.add_done_callback(self._prepared)

    def _prepared(self, opening: asyncio.Task[Connection]) -> None:
        """Keep what was opened, unless somebody waits for it or does without; of a failure nobody hears."""
        failed = opening.cancelled() or opening.exception() is not None
        if opening in self._opening:
            self._opening.remove(opening)
            if not failed:
                self._unused.append(opening.result())

    def spare(self) -> None:
        """Do without one that was prepared."""
        if self._opening:
            _drop(self._opening.pop())
        elif self._unused:
            self._unused.pop().close()

    async def unused(self) -> Connection:
        """Return a connection that was prepared, or a new one. Raises as `new` does."""
        if (connection := self.ready()) is not None:
            return connection
        if not self._opening:
            return await self.new()
        opening = self._opening.pop(0)
        try:
            return await opening
        except BaseException:  # cancelled, it may be in the very round in which it opened
            _drop(opening)
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call, if it takes one."""
        if connection.is_open:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are idle or being opened."""
        while self._opening:
            _drop(self._opening.pop())
        for connection in (*self._idle, *self._unused):
            connection.close()
        self._idle.clear()
        self._unused.clear()


def _drop(opening: asyncio.Task[Connection]) -> None:
    """Close a connection that was being opened, or do not open it at all."""
    if not opening.cancel() and not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def connect_timeout(seconds: float) -> ServiceError:
    """Return the failure of a connection that did not come about in time."""
    return ServiceError(
        _E.ERROR_REASON_CONNECT_TIMEOUT,
        f"no connection to the platform in {seconds:g} s (HOWLER_CONNECT_TIMEOUT)",
    )


def unreachable(error: OSError) -> ServiceError:
    """Return the failure of a connection that could not be made: nothing was sent."""
    if isinstance(error, ssl.SSLError):
        cause = f"TLS: {error.reason or type(error).__name__}"
    else:
        cause = error.strerror or type(error).__name__
    return ServiceError(_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, f"the platform cannot be reached: {cause}")
