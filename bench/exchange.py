"""One request and its answer on a connection of its own: HTTP, or a socket that begins as HTTP."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools


class Exchange(asyncio.Protocol):
    """One request on a connection of its own; `over` is set with what was wrong, or ""."""

    def __init__(self, request: bytes, take: Callable[[bytes], str | None]) -> None:
        """`take` is given the body as it comes and returns None while it wants more."""
        self._request = request
        self._take = take
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self._ended = False
        self.bytes = 0
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has gone."""
        self._finish("cut off")

    def data_received(self, data: bytes) -> None:
        """Hand the body on, one piece per read."""
        if not self._upgraded:
            data = self._parsed(data)
        if not data and not self._ended:
            return
        self.bytes += len(data)
        status = 101 if self._upgraded else self._parser.get_status_code()
        if status not in (101, 200):
            self._finish(f"http {status} {data[:160].decode(errors='replace')}")
            return
        verdict = self._take(data)
        if verdict is not None:
            self._finish(verdict)
        elif self._ended:
            self._finish("no end")

    def _parsed(self, data: bytes) -> bytes:
        rest = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgraded, rest = True, data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._finish(f"unreadable http: {error}")
        body = b"".join(self._body) + rest
        self._body.clear()
        return body

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The body is whole, or the socket is open."""
        self._ended = self._parser.get_status_code() != 101

    def _finish(self, verdict: str) -> None:
        if not self.over.done():
            self.over.set_result(verdict)

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()
