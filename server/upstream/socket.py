"""A task's stream as a socket: raw frames both ways, every loss named (upstream-protocol §6.1, §6.10).

Frames are handed on as they come, in the same call that read them: no queue, no
task and no wake-up stands between the socket and a turn (docs/decisions/0006).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from server.errors import ServiceError
from server.pool.fence import Fence

_E = ErrorReason
_TEXT: Final = WSMsgType.TEXT
_CONTROL: Final = (WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE)

Take = Callable[[bytes], bool]
"""Takes a frame, text or binary, as the bytes that came, unchecked. True wants no more: what comes all the
same waits for who reads next."""


class Socket(WSListener):
    """One socket on one task's stream. Pings are answered; it is the reader who minds a silence.

    When its fence falls it is cut, without another byte.
    """

    def __init__(self, fence: Fence | None = None) -> None:
        self._fence = fence
        self._transport: WSTransport | None = None
        self._take: Take | None = None
        self._read: asyncio.Future[None] | None = None
        self._waiting: list[bytes] = []
        self._part = b""  # of a message that comes in several frames

    async def each(self, take: Take) -> None:
        """Give every frame to `take`, one by one, until it wants no more; what it raises is raised.

        Raises UPSTREAM_LOST once the socket is closed, whoever closed it and why.
        """
        while self._waiting:
            if take(self._waiting.pop(0)):
                return
        if self._lost:
            raise self._loss()
        self._take, self._read = take, asyncio.get_running_loop().create_future()
        try:
            await self._read
        finally:
            self._take = self._read = None

    def send(self, frame: str) -> None:
        """Write a text frame. Raises UPSTREAM_LOST once the socket is closed, LEASE_LOST for its fence."""
        if self._fence is not None:
            self._fence.check()
        if self._lost:
            raise self._loss()
        assert self._transport is not None
        self._transport.send(WSMsgType.TEXT, frame)

    def close(self) -> None:
        """Close the socket; what was written goes out before."""
        if self._fence is not None:
            self._fence.unwatch(self._cut)
        if self._transport is None or self._transport.is_disconnected:
            return
        if self._fence is not None and not self._fence.holds:
            self._cut()
        else:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    @property
    def opened(self) -> bool:
        """The handshake is over, and well."""
        return self._transport is not None

    @property
    def _lost(self) -> bool:
        transport = self._transport
        return transport is None or transport.is_disconnected or transport.is_close_frame_sent

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See WSListener."""
        self._transport = transport
        if self._fence is not None:
            self._fence.watch(self._cut)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See WSListener."""
        kind = frame.msg_type
        if kind is not _TEXT and kind in _CONTROL:
            self._control(transport, kind, frame)
            return
        message = frame.get_payload_as_bytes()
        if self._part or not frame.fin:
            self._part += message
            if not frame.fin:
                return
            message, self._part = self._part, b""
        if self._take is None:
            self._waiting.append(message)
            return
        try:
            if self._take(message):
                self._end()
        except Exception as error:
            self._end(error)

    def _control(self, transport: WSTransport, kind: WSMsgType, frame: WSFrame) -> None:
        if self._fence is not None and not self._fence.holds:
            self._fence.fall()  # which cuts the socket
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            self._end(self._loss())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See WSListener."""
        if self._read is not None:
            self._end(self._loss())

    def _end(self, error: Exception | None = None) -> None:
        """End the reading that is under way."""
        self._take = None
        if self._read is not None and not self._read.done():
            if error is None:
                self._read.set_result(None)
            else:
                self._read.set_exception(error)

    def _loss(self) -> ServiceError:
        told = self._transport.close_handshake if self._transport is not None else None
        code = told.recv.code if told is not None and told.recv is not None else None
        number = code.value if isinstance(code, WSCloseCode) else code
        how = f"the platform closed it with code {number}" if number is not None else "without a word"
        return ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, f"the stream was lost: {how}")
