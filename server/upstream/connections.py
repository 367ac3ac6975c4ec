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
        self.connect_timeout = connect_timeout
        self._idle: list[Connection] = []  # the one used last comes last
        self._ahead: list[asyncio.Task[Connection]] = []

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
        """Open a connection. Raises CONNECT_TIMEOUT and UPSTREAM_UNAVAILABLE."""
        try:
            async with asyncio.timeout(self.connect_timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection, self._address, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise connect_timeout(self.connect_timeout) from None
        except OSError as error:
            raise unreachable(error) from None
        return connection

    def prepare(self) -> None:
        """Begin to open a connection that `ready` or `unused` returns: somebody will need one soon."""
        self._forget_stale()
        opening = asyncio.create_task(self.new())
        opening.add_done_callback(_heard)
        self._ahead.append(opening)

    def spare(self) -> None:
        """Do without one that was prepared."""
        if self._ahead:
            _drop(self._ahead.pop())

    def ready(self) -> Connection | None:
        """Take a connection that was prepared, if one is open by now."""
        self._forget_stale()
        for index, opening in enumerate(self._ahead):
            if opening.done():
                return self._ahead.pop(index).result()
        return None

    async def unused(self) -> Connection:
        """Return a connection that was prepared, or a new one. Raises as `new` does."""
        if (connection := self.ready()) is not None:
            return connection
        if not self._ahead:
            return await self.new()
        opening = self._ahead.pop(0)
        try:
            return await opening
        except BaseException:  # cancelled, it may be in the very round in which it opened
            _drop(opening)
            raise

    def _forget_stale(self) -> None:
        """Forget what was prepared and failed, was lost, or waited too long."""
        for opening in [opening for opening in self._ahead if _is_stale(opening)]:
            self._ahead.remove(opening)
            _drop(opening)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next call, if it takes one."""
        if connection.is_open:
            self._idle.append(connection)

    def close(self) -> None:
        """Close those that are idle."""
        while self._ahead:
            _drop(self._ahead.pop())
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def _drop(opening: asyncio.Task[Connection]) -> None:
    """Close a connection that was prepared, or do not open it at all."""
    if not opening.cancel() and not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _is_stale(opening: asyncio.Task[Connection]) -> bool:
    if not opening.done():
        return False
    if opening.cancelled() or opening.exception() is not None:
        return True
    connection = opening.result()
    return not connection.is_open or asyncio.get_running_loop().time() - connection.idle_since > _KEPT


def _heard(opening: asyncio.Task[Connection]) -> None:
    """Hear of a failure that nobody may wait for."""
    if not opening.cancelled():
        opening.exception()


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
