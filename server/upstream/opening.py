"""Opens sockets on tasks: asks for one over a connection that nothing has used yet (upstream-protocol §6.1).

Where a connection was prepared the asking takes no wait: docs/decisions/0028.
"""

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httptools
from howler.error.v1.error_reason_pb2 import ErrorReason
from picows import WSAutoPingStrategy, WSHandshakeError
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # it stands in no stub

from server.errors import ServiceError
from server.pool.fence import Fence
from server.upstream.connection import Connection
from server.upstream.connections import Connections, connect_timeout
from server.upstream.errors import Refusal, Undecided, of_task
from server.upstream.http import twice
from server.upstream.reply import Reply, open_reply
from server.upstream.socket import Socket

_E = ErrorReason
_MOST_BYTES: Final = 256 << 20  # of a frame; the platform has no limit toward us (§6.1)
_BUFFER_BYTES: Final = 16 << 10  # at first
_NO_PINGS: Final = (10, 10, WSAutoPingStrategy.PING_WHEN_IDLE)  # how they would be sent

# Below INFO the library logs every header, and with it the cookie: never let it.
_wire_log = logging.getLogger("howler.wire")
_wire_log.setLevel(logging.ERROR)


class _Silent(logging.LoggerAdapter[logging.Logger]):
    """The library's log but for its information; of a plain logger it makes another one for each socket."""

    def info(self, *_: object, **__: object) -> None:
        """Say nothing."""


_log = _Silent(_wire_log)


@dataclass(frozen=True, slots=True)
class Asked:
    """The socket that is asked for, `path` with its query. `secrets` are what no error message may repeat."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    secrets: Collection[str] = field(repr=False)
    fence: Fence | None


class Opening:
    """A socket on a task, opened at the begin of `async with` and closed at its end.

    It may be begun with before that, and is to be closed then whether it is opened or not.
    """

    def __init__(self, asked: Asked, connections: Connections) -> None:
        self._asked = asked
        self._connections = connections
        self._begun: _Handshake | None = None
        self._socket: Socket | None = None

    def begin(self) -> bool:
        """Ask for the socket now, where a connection is ready and the lease is believed in; tell whether."""
        fence = self._asked.fence
        if (fence is None or fence.holds) and (connection := self._connections.ready()) is not None:
            with suppress(ServiceError):  # it is asked for again
                self._begun = _Handshake(self._asked, self._connections, connection)
        return self._begun is not None

    async def open(self) -> Socket:
        """Return the socket.

        Raises CONNECT_TIMEOUT, UPSTREAM_UNAVAILABLE, UPSTREAM_PROTOCOL, LEASE_LOST where the fence is lost,
        TASK_NOT_FOUND, and Refusal for another HTTP reply in its place, whose status may be 200 (§6.1).
        """
        try:
            self._socket = await twice(self._attempt)
        except Refusal as refusal:
            raise of_task(refusal) from None
        return self._socket

    async def __aenter__(self) -> Socket:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the socket, or break off what was begun with."""
        if self._begun is not None:
            await self._begun.break_off()
        elif self._socket is not None:
            self._socket.close()

    async def _attempt(self) -> Socket:
        begun, self._begun = self._begun, None
        return await (begun or await self._asking()).over()

    async def _asking(self) -> "_Handshake":
        connection = await self._connections.unused()
        try:
            if self._asked.fence is not None:
                self._asked.fence.check()
        except ServiceError:
            self._connections.give_back(connection)
            raise
        return _Handshake(self._asked, self._connections, connection)


class _Handshake:
    """A socket that was asked for. It may take as long as connecting."""

    def __init__(self, asked: Asked, connections: Connections, connection: Connection) -> None:
        """Raises UPSTREAM_UNAVAILABLE where the connection was lost by now."""
        self._secrets = asked.secrets
        self._seconds = connections.connect_timeout
        self.socket = socket = Socket(asked.fence)
        self._protocol: Any = WSProtocol(
            connections.host,
            asked.path,
            True,  # we are the client
            lambda *_: socket,
            _log,
            True,  # what a callback raises ends the connection
            self._seconds,
            False,  # it sends no pings
            *_NO_PINGS,
            False,  # nor pongs: one minds the fence, too
            _MOST_BYTES,
            asked.headers,
            _BUFFER_BYTES,
        )
        try:
            connection.hand_over(self._protocol)
        except ConnectionError:
            raise _hung_up() from None

    async def over(self) -> Socket:
        """Return the socket once it is open; after any failure nothing is left of it.

        Raises CONNECT_TIMEOUT and what the platform said in its place.
        """
        if not self.socket.opened:
            await self._until_open()
        return self.socket

    async def _until_open(self) -> None:
        try:
            await self._protocol.wait_until_handshake_complete()
            if not self.socket.opened:
                raise _hung_up()
        except BaseException as error:  # cancelled, it may be in the very round in which it opened
            self._protocol.transport.disconnect(graceful=False)
            if isinstance(error, TimeoutError):
                raise connect_timeout(self._seconds) from None
            if isinstance(error, WSHandshakeError):
                raise _refused(error, self._secrets) from None
            raise

    async def break_off(self) -> None:
        """Close the socket, or do without it."""
        if self.socket.opened:
            self.socket.close()
        else:
            self._protocol.transport.disconnect(graceful=False)
            with suppress(Exception):  # it may have been refused by then
                await self._protocol.wait_until_handshake_complete()


class _Answer:
    """An HTTP answer in place of a socket."""

    def __init__(self, data: bytes) -> None:
        """Raises HttpParserError for what is no HTTP, HttpParserUpgrade for a socket."""
        self.headers: dict[str, str] = {}
        self.body = b""
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(data)
        self.status: int = parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body


def _hung_up() -> ServiceError:
    return ServiceError(
        _E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the platform hung up before it opened the stream"
    )


def _refused(error: WSHandshakeError, secrets: Collection[str]) -> ServiceError:
    """Return what the platform said in place of opening a socket."""
    try:
        answer = _Answer(b"%b\r\n\r\n%b" % (error.raw_header or b"", error.raw_body or b""))
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return ServiceError(
            _E.ERROR_REASON_UPSTREAM_PROTOCOL, "the platform's WebSocket handshake could not be read"
        )
    try:
        open_reply(Reply(answer.status, answer.body, answer.headers), secrets)
    except ServiceError as refusal:
        return refusal
    return Undecided(  # a success, but no socket
        _E.ERROR_REASON_UPSTREAM_PROTOCOL,
        f"the platform answered HTTP {answer.status} where it should have opened a stream",
    )
