"""A request and its answer. The answer's head goes out with the first of its body: both are one write."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Scope

if TYPE_CHECKING:
    from facade.http.connection import Connection

_log = logging.getLogger(__name__)

_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_BODILESS: Final = frozenset({204, 304})
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """A request and its answer: ASGI's `receive` and `send`, and what sse.asgi.Wire is.

    Each request but a HEAD has it in `scope["state"]["wire"]`. `keeps_alive` says that the connection
    stays for the next one.
    """

    def __init__(self, connection: "Connection", scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self._body = bytearray()
        self._more = True  # of the body comes
        self._news = False  # for `receive`
        self._wake: asyncio.Future[None] | None = None  # which waits for some
        self._invited = False
        self._begun = False
        self._head = b""  # of the answer, until the first of its body goes
        self._left: int | None = None  # of its body, in bytes; None where it is chunked
        self._over = False  # answered, or the caller is gone
        self._gone = False
        self._leave: Callable[[], None] | None = None
        self.keeps_alive = True
        if scope["method"] != "HEAD":  # whose answer has no body: `send` knows
            scope["state"]["wire"] = self

    async def run(self, app: ASGIApp) -> None:
        """Have it answered. Whoever does not, or not to the end, is a bug: the caller is cut off."""
        try:
            await app(self._scope, self.receive, self.send)
        except (Exception, asyncio.CancelledError):
            _log.exception("A request was given up.")
        if self._over:
            return
        if self._begun:
            self._connection.transport.close()
        else:
            self._connection.refuse(500, b"Internal Server Error")

    def take(self, body: bytes) -> int:
        """Take a piece of the request's body; return how many bytes wait to be received."""
        if self._over:
            return 0
        self._body += body
        self._tell_news()
        return len(self._body)

    def take_end(self) -> None:
        """Take note that the request is complete."""
        self._more = False
        self._tell_news()

    def abandon(self) -> None:
        """Take note that the caller is gone."""
        if not self._over:
            self._over = self._gone = True
            self._tell_news()
            if self._leave is not None:
                self._leave()

    async def receive(self) -> Message:
        """Return the next of the request's body, or that there is nobody to answer any more (ASGI)."""
        while not (self._news or self._over):
            self._connection.resume_reading()
            self._invite()
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        self._news = False
        if self._over:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self._more}

    async def send(self, message: Message) -> None:
        """Answer: once with `http.response.start`, then with bodies until one that is the last (ASGI)."""
        connection = self._connection
        while connection.writable is not None:
            await connection.writable.wait()
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            return
        if self._over or not self._begun:
            raise RuntimeError("an answer begins once and ends once")
        body, more, head = message.get("body", b""), message.get("more_body", False), self._head
        if self._left is None:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            told = b"%b%b%b" % (head, piece, b"" if more else b"0\r\n\r\n")
        elif self._scope["method"] == "HEAD":
            told = head
        else:
            told, self._left = head + body, self._left - len(body)
        if told:
            self._head = b""
            connection.transport.write(told)
        if not more:
            self._end()

    def write(self, body: bytes) -> bool:
        """See sse.asgi.Wire."""
        if not self._gone:
            self._connection.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return self._connection.writable is None

    def when_gone(self, leave: Callable[[], None]) -> None:
        """See sse.asgi.Wire."""
        self._leave = leave
        if self._gone:
            leave()
        else:  # as `receive` does: behind a large body nothing is read, not even the caller's end
            self._connection.resume_reading()

    def _invite(self) -> None:
        """Ask for the body, where the caller waits for that (RFC 9110 §10.1.1)."""
        if self._invited or self._begun or not self._more:
            return
        self._invited = True
        if dict(self._scope["headers"]).get(b"expect", b"").lower() == b"100-continue":
            self._connection.transport.write(_CONTINUE)

    def _begin(self, status: int, given: Iterable[tuple[bytes, bytes]]) -> None:
        if self._begun:
            raise RuntimeError("an answer begins once")
        headers = [*self._connection.common_headers, *given]
        if _CONTROL.search(b"".join(chain.from_iterable(headers))):
            raise RuntimeError("a header of an answer holds a control character")
        self._begun, told = True, dict(headers)
        if told.get(b"connection") == b"close":
            self.keeps_alive = False
        elif not self.keeps_alive:
            headers.append((b"connection", b"close"))
        if self._scope["method"] == "HEAD" or status in _BODILESS:
            self._left = 0
        elif b"content-length" in told:
            self._left = int(told[b"content-length"])
        else:
            headers.append((b"transfer-encoding", b"chunked"))
        self._head = b"%b%b\r\n" % (_STATUS[status], b"".join([b"%b: %b\r\n" % line for line in headers]))

    def _end(self) -> None:
        if self._left:
            raise RuntimeError("an answer is not as long as it told")
        self._over = True
        self._tell_news()
        if not self.keeps_alive:
            self._connection.transport.close()
        self._connection.answered()

    def _tell_news(self) -> None:
        self._news = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


def refusal(status: int, text: bytes) -> bytes:
    """Return an answer in plain text, after which the connection is closed."""
    headers = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n"
    return b"%b%b\r\n%b" % (_STATUS[status], headers % len(text), text)
