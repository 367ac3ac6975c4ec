"""An HTTP/1.1 connection to the platform: one request at a time, its reply read whole (RFC 9112).

It knows what the platform's calls need and no more: no upgrade, no pipelining, no trailer.
"""

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final, cast

import httptools

from server.upstream.reply import Reply

REPLY_BYTES: Final = 16 << 20
_ZLIB, _RAW_DEFLATE = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS  # gzip or zlib, by its head; neither


class Lost(Exception):
    """The connection was lost before the reply was whole; `unheard` says that not a byte of it had come."""

    def __init__(self, *, unheard: bool) -> None:
        super().__init__()
        self.unheard = unheard


class Unreadable(Exception):
    """What came is no HTTP, or none that was asked for."""


class TooLong(Exception):
    """The reply is longer than REPLY_BYTES."""


class Connection(asyncio.Protocol):
    """One connection. `idle_since` is when its last reply was whole, or it was made, by the loop's clock."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._replied: asyncio.Future[Reply] | None = None
        self._heard = False
        self._expect()

    @property
    def is_open(self) -> bool:
        """It takes a request."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._replied is None

    async def exchange(self, request: bytes, seconds: float) -> Reply:
        """Write a request and return its reply; after any failure the connection is closed.

        Raises Lost, Unreadable, TooLong, and TimeoutError where the reply is not whole in so many seconds.
        """
        assert self._transport is not None
        assert self._replied is None, "one request at a time"
        self._heard = False
        replied: asyncio.Future[Reply] = self._loop.create_future()
        self._replied = replied
        self._transport.write(request)
        expiry = self._loop.call_later(seconds, self._fail, TimeoutError())
        try:
            return await replied
        finally:
            expiry.cancel()
            if self._replied is not None:  # the caller was cancelled
                self._replied = None
                self.close()

    def hand_over(self, protocol: asyncio.BufferedProtocol) -> None:
        """Leave the connection, which no request has used, to another protocol for good.

        Raises ConnectionError where it was lost by now.
        """
        if not self.is_open:
            raise ConnectionResetError
        assert self._transport is not None
        transport, self._transport = self._transport, None
        del self._parser  # it refers back
        transport.set_protocol(protocol)
        try:
            protocol.connection_made(transport)
        except Exception as error:  # of TLS the loss may be known below, and not yet told here
            transport.abort()
            raise ConnectionResetError from error

    def close(self) -> None:
        """Close it, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.idle_since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._replied is None:  # nothing was asked
            self.close()
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__  # what a callback raised
            self._fail(cause if isinstance(cause, TooLong) else Unreadable())

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol. A body without a length ends with its connection (RFC 9112 §6.3)."""
        self._transport = None
        if self._replied is not None and self._headed and not self._framed and exc is None:
            self.on_message_complete()
        self._fail(Lost(unheard=not self._heard))

    def _fail(self, error: Exception) -> None:
        replied, self._replied = self._replied, None
        if replied is not None and not replied.done():
            replied.set_exception(error)
        self.close()

    # What the parser calls.

    def _expect(self) -> None:
        """Expect a new reply."""
        self._headers: dict[str, str] = {}
        self._cookies: list[str] = []
        self._body = bytearray()
        self._headed = self._framed = False

    def on_message_begin(self) -> None:
        """Close where more comes than was asked for: it would be taken for the next answer."""
        if self._replied is None:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        named, told = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[named] = told
        if named == "set-cookie":
            self._cookies.append(told)

    def on_headers_complete(self) -> None:
        """Take note that the body begins, and whether its end will be told."""
        self._headed = True
        self._framed = "content-length" in self._headers or "transfer-encoding" in self._headers

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._body += body
        if len(self._body) > REPLY_BYTES:
            raise TooLong

    def on_message_complete(self) -> None:
        """Hand the reply over."""
        status: int = self._parser.get_status_code()
        if status < 200:  # an interim reply: the one that counts is to come
            self._expect()
            return
        keeps = self._transport is not None and self._parser.should_keep_alive()
        headers, cookies, body = self._headers, tuple(self._cookies), bytes(self._body)
        self._expect()
        replied, self._replied = self._replied, None
        self.idle_since = self._loop.time()
        if replied is not None and not replied.done():
            try:
                replied.set_result(Reply(status, _plain(body, headers), headers, cookies))
            except (TooLong, Unreadable) as error:
                replied.set_exception(error)
        if not keeps:
            self.close()


def _plain(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a body as it was before it was coded. Raises TooLong and Unreadable."""
    coding = headers.get("content-encoding", "").strip().lower()
    return _decoded(body, coding) if coding and coding != "identity" and body else body


def _decoded(body: bytes, coding: str) -> bytes:
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Unreadable
    for form in (_ZLIB, _RAW_DEFLATE):  # some servers call that deflate, too
        unpacker = zlib.decompressobj(form)
        try:
            plain = unpacker.decompress(body, REPLY_BYTES + 1)
        except zlib.error:
            continue
        if len(plain) > REPLY_BYTES:
            raise TooLong
        if unpacker.eof:
            return plain
    raise Unreadable
