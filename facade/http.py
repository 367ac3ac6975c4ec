"""uvicorn's end of an HTTP connection, with less to look up and a shorter way for the pieces of a stream."""

import asyncio
from functools import partial
from typing import cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Connection(HttpToolsProtocol):
    """uvicorn's, but for the addresses of both ends: it looks them up, and nobody here asks for them.

    Each request's `scope["state"]["write"]` puts a piece of its answer on its way (`write_chunk`).
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self.connections.add(self)
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.flow, self.scheme = FlowControl(self.transport), "http"

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.scope["state"]["write"] = partial(write_chunk, cycle)
        super()._start_asgi_task(cycle, app)


def write_chunk(cycle: RequestResponseCycle, body: bytes) -> bool:
    """Put a piece of a chunked answer on its way, which has begun and goes on; it is not empty.

    Return whether its reader keeps up: who writes more where he does not waits first, by `send`.
    """
    if not cycle.disconnected:
        cycle.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
    return not cycle.flow.write_paused
