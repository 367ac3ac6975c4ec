"""A server-side WebSocket as the platform keeps it: pings, the inbound limit, and ordered faults."""

import asyncio
import socket as sockets
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias

from aiohttp import WSMsgType, web

from sandbox.routes.caller import backend_of
from sandbox.wire.dialect import Dialect
from sandbox.wire.frame import Frame
from sandbox.world.faults import SocketFault
from sandbox.world.oracle import SocketRecord
from sandbox.world.task import Task

# Text is taken as bytes: the platform does not check that it is UTF-8.
Bytes: TypeAlias = "web.WebSocketResponse[Literal[False]]"
INBOUND_LIMIT: Final = 32_768  # bytes per client message; one more closes with 1009 (§6.1)
_PING: Final = Frame("ping")
_LINGER_NONE: Final = struct.pack("ii", 1, 0)  # close sends RST


class OpenSockets:
    """The sockets that are open, so that the sandbox can close them when it ends."""

    def __init__(self) -> None:
        self.all: set[Bytes] = set()


OPEN: Final = web.AppKey("open", OpenSockets)


class GoneError(ConnectionError):
    """The socket is no more: the peer left or a fault cut it."""


class Socket:
    """One accepted WebSocket."""

    def __init__(
        self,
        ws: "Bytes",
        transport: asyncio.Transport | None,
        record: SocketRecord,
        fault: SocketFault,
        dialect: Dialect,
    ) -> None:
        self.record, self.fault, self.dialect = record, fault, dialect
        self._ws, self._transport = ws, transport
        self._turn_to_write = asyncio.Lock()

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns when it is done."""
        return self._ws

    async def send(self, frame: Frame) -> None:
        """Send a frame; GoneError if nobody is there."""
        await self.send_text(self.dialect.encode(frame))

    async def send_text(self, text: str) -> None:
        """Send an encoded frame, or what the fault in force leaves of it; GoneError."""
        async with self._turn_to_write:
            if self.fault.delay_ms:
                await asyncio.sleep(self.fault.delay_ms / 1000)
            if (
                self.fault.cut_after_frames is not None
                and self.record.frames_sent >= self.fault.cut_after_frames
            ):
                await self.cut()
            if self.fault.cut_after_bytes is not None:
                await self._cut_inside(text.encode())
            try:
                await self._ws.send_str(text)
            except ConnectionError:
                raise GoneError from None
            self.record.frames_sent += 1
            self.record.bytes_sent += len(text)

    async def cut(self) -> None:
        """Cut the connection in the way that the fault says; GoneError."""
        if self.fault.cut == "close":
            await self.close(1011, b"cut")
        elif self._transport is not None:
            if self.fault.cut == "rst":
                raw = self._transport.get_extra_info("socket")
                raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _LINGER_NONE)
                self._transport.abort()
            else:
                self._transport.close()
        raise GoneError

    async def close(self, code: int, reason: bytes = b"") -> None:
        """Close the WebSocket."""
        await self._ws.close(code=code, message=reason)

    async def ping(self, every_s: float) -> None:
        """Send the platform's JSON pings until cancelled; end quietly when nobody is there."""
        while not self.fault.stop_pings:
            await asyncio.sleep(every_s)
            try:
                await self.send(_PING)
            except GoneError:
                return

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield what the client sends, text or binary alike, until it leaves."""
        while True:
            message = await self._ws.receive()
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                return
            yield message.data

    async def _cut_inside(self, payload: bytes) -> None:
        """Cut if the fault's byte lies in this frame, sending the part before it."""
        whole = _server_frame(payload)
        room = (self.fault.cut_after_bytes or 0) - self.record.bytes_sent
        if len(whole) <= room:
            self.record.bytes_sent += len(whole) - len(payload)  # send_text counts the payload
            return
        if self._transport is not None and room > 0 and self.fault.cut != "close":
            self._transport.write(whole[:room])
            self.record.bytes_sent += room
        await self.cut()


def _server_frame(payload: bytes) -> bytes:
    """Return an unmasked text message as its bytes on the wire (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x81, 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 127, size)
    return head + payload


def now_ms() -> int:
    """Return unix milliseconds, the unit of frames."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def accept(
    request: web.Request, channel: Literal["stream", "control"], mode: str, task: Task
) -> AsyncIterator[Socket]:
    """Upgrade the request and ping until the context ends."""
    backend = backend_of(request)
    fault = backend.faults.for_socket(channel, mode)
    ws: Bytes = web.WebSocketResponse(
        # aiohttp refuses what is as long as its limit; compression is never negotiated (§6.1).
        max_msg_size=INBOUND_LIMIT + 1,
        compress=False,
        decode_text=False,
        timeout=1.0,
    )
    await ws.prepare(request)
    record = backend.oracle.open_socket(channel, mode, task.id, task.account.email)
    request.app[OPEN].all.add(ws)
    try:
        yield Socket(ws, request.transport, record, fault, backend.dialect)
    finally:
        request.app[OPEN].all.discard(ws)
        backend.oracle.close_socket(record)
        if not ws.closed:
            await ws.close()
