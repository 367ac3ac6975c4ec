"""A task's stream as a socket: raw frames both ways, every loss named (upstream-protocol §6.1, §6.10)."""

import logging
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from server.errors import ServiceError
from server.pool.fence import Fence
from server.upstream.errors import Undecided
from server.upstream.http import connect_timeout, unreachable
from server.upstream.reply import Reply, open_reply

_E = ErrorReason
_PING_EVERY: Final = 20.0  # seconds
_PONG_WITHIN: Final = 60.0  # seconds; the server's read loop may be blocked for 30 s (§6.1)
_CLOSE_WITHIN: Final = 1.0  # seconds
_QUEUE: Final = 256  # frames read ahead of the reader

# At DEBUG the library logs every header, and with it the cookie: never let it.
_wire_log = logging.getLogger("howler.wire")
_wire_log.setLevel(logging.WARNING)


class Socket:
    """One socket on one task's stream. The reader must keep reading, or the keepalive ends the socket.

    When its fence falls it is cut, without another byte.
    """

    def __init__(self, connection: ClientConnection, fence: Fence | None = None) -> None:
        self._connection = connection
        self._fence = fence
        if fence is not None:
            fence.watch(self._cut)

    async def receive(self) -> bytes:
        """Return the next frame, text or binary, as the bytes that came, unchecked.

        Raises UPSTREAM_LOST once the socket is closed, whoever closed it and why.
        """
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def send(self, frame: str) -> None:
        """Write a text frame. Raises UPSTREAM_LOST once the socket is closed, LEASE_LOST for its fence."""
        if self._fence is not None:
            self._fence.check()
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def close(self) -> None:
        """Close the socket, waiting about a second for the other side."""
        if self._fence is not None:
            self._fence.unwatch(self._cut)
        await self._connection.close()

    def _cut(self) -> None:
        self._connection.transport.abort()


class _Connect(connect):
    """Follows no redirect: a session is the business of one host."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _fenced(fence: Fence) -> type[ClientConnection]:
    """Return connections that write nothing, be it a pong or a close frame, once the fence is lost."""

    class Fenced(ClientConnection):
        def send_data(self) -> None:
            if fence.holds:
                super().send_data()
            else:
                self.transport.abort()
                fence.fall()

    return Fenced


@asynccontextmanager
async def opened(
    url: str,
    headers: Mapping[str, str],
    secrets: Collection[str],
    timeout: float,
    tls: ssl.SSLContext | None,
    fence: Fence | None = None,
) -> AsyncIterator[Socket]:
    """Open a socket for a while. `timeout`, in seconds, is that of the connection and its handshake.

    Raises CONNECT_TIMEOUT, UPSTREAM_UNAVAILABLE, UPSTREAM_PROTOCOL, LEASE_LOST where the fence
    is lost, and Refusal for an HTTP reply in place of a socket, whose status may be 200 (§6.1).
    """
    if fence is not None:
        fence.check()
    connection = await _handshake(url, headers, secrets, timeout, tls, fence)
    socket = Socket(connection, fence)
    try:
        yield socket
    finally:
        await socket.close()


async def _handshake(
    url: str,
    headers: Mapping[str, str],
    secrets: Collection[str],
    timeout: float,
    tls: ssl.SSLContext | None,
    fence: Fence | None,
) -> ClientConnection:
    others = dict(headers)
    agent = others.pop("User-Agent", None)
    try:
        return await _Connect(
            url,
            additional_headers=others,
            user_agent_header=agent,
            compression=None,
            proxy=None,
            open_timeout=timeout,
            ping_interval=_PING_EVERY,
            ping_timeout=_PONG_WITHIN,
            close_timeout=_CLOSE_WITHIN,
            max_size=None,
            max_queue=_QUEUE,
            logger=_wire_log,
            ssl=tls,
            create_connection=_fenced(fence) if fence is not None else ClientConnection,
        )
    except InvalidStatus as error:
        response = error.response
        names = {name.lower(): value for name, value in response.headers.raw_items()}
        open_reply(Reply(response.status_code, bytes(response.body or b""), names), secrets)
        raise Undecided(  # a success, but no socket
            _E.ERROR_REASON_UPSTREAM_PROTOCOL,
            f"the platform answered HTTP {response.status_code} where it should have opened a stream",
        ) from None
    except TimeoutError:
        raise connect_timeout(timeout) from None
    except OSError as error:
        raise unreachable(error) from None
    except InvalidHandshake as error:
        if isinstance(error.__cause__, EOFError):
            raise ServiceError(
                _E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the platform hung up before it opened the stream"
            ) from None
        raise ServiceError(
            _E.ERROR_REASON_UPSTREAM_PROTOCOL, "the platform's WebSocket handshake could not be read"
        ) from None


def _lost(closed: ConnectionClosed) -> ServiceError:
    code = closed.rcvd.code if closed.rcvd is not None else None
    how = f"the platform closed it with code {code}" if code is not None else "without a word"
    return ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, f"the stream was lost: {how}")
