"""uvicorn's end of an HTTP connection, with less to look up and a shorter way to the caller and back."""

import asyncio
from collections.abc import Callable
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Connection(HttpToolsProtocol):
    """uvicorn's, but for the addresses of both ends: it looks them up, and nobody here asks for them.

    Each request but a HEAD has its `Wire` in `scope["state"]["wire"]`.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self.connections.add(self)
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.flow, self.scheme = FlowControl(self.transport), "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers that the caller is gone."""
        super().connection_lost(exc)
        if self.cycle is not None and self.cycle.disconnected:
            wire: Wire | None = self.cycle.scope["state"].get("wire")
            if wire is not None:
                wire.cut()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["method"] != "HEAD":  # whose answer has no body: ASGI's `send` knows
            cycle.scope["state"]["wire"] = Wire(cycle)
        super()._start_asgi_task(cycle, app)


class Wire:
    """The caller of one request, without the tasks that ASGI takes (sse.asgi.Wire says what it does)."""

    __slots__ = ("_cycle", "_leave")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._leave: Callable[[], None] | None = None

    def write(self, body: bytes) -> bool:
        """See sse.asgi.Wire."""
        if not self._cycle.disconnected:
            self._cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return not self._cycle.flow.write_paused

    def when_gone(self, leave: Callable[[], None]) -> None:
        """See sse.asgi.Wire."""
        self._leave = leave
        if self._cycle.disconnected:
            leave()
        else:  # as ASGI's `receive` does: behind a large body nothing is read, not even the caller's end
            self._cycle.flow.resume_reading()

    def cut(self) -> None:
        """Take note that the caller is gone."""
        if self._leave is not None:
            self._leave()
