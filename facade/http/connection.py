"""A caller's connection: httptools reads, and what it reads is answered, one request after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
from starlette.types import Scope
from uvicorn import Config
from uvicorn.server import ServerState

from facade.http.exchange import Exchange, refusal

_log = logging.getLogger(__name__)

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_MOST_UNREAD: Final = 65_536
"""Bytes of a body that wait for the application, at most and about: the caller waits then."""


class Connection(asyncio.Protocol):
    """A caller's connection. What he asks before he is answered waits, and he is read no further.

    `writable` is None, but while he takes no more than what is on its way: then it is set when he does.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # the answer may be on its way
        self._idle: asyncio.TimerHandle | None = None
        self._unanswered: deque[Exchange] = deque()  # the first is being answered
        self._reads: Exchange | None = None  # whose body comes
        self._read_paused = False
        self.transport: asyncio.Transport
        self.writable: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._server.connections.add(self)  # type: ignore[arg-type]  # asked for `shutdown` only

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers that the caller is gone."""
        self._server.connections.discard(self)
        self._cease_idling()
        for exchange in self._unanswered:
            exchange.abandon()
        self._unanswered.clear()
        self._reads = self._parser = None  # the parser holds this
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read what came."""
        self._cease_idling()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            _log.warning("What came was no HTTP request.")
            self.refuse(400, b"Invalid HTTP request received.")
        except httptools.HttpParserUpgrade:
            if self._opens_websocket():
                self._become_websocket()

    def pause_writing(self) -> None:
        """Take note that the caller takes no more for now."""
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        """Take note that he does again, or is gone."""
        if self.writable is not None:
            self.writable.set()
            self.writable = None

    def shutdown(self) -> None:
        """End it after the answer that is on its way."""
        if self._unanswered:
            self._unanswered[-1].keeps_alive = False
        else:
            self.transport.close()

    # What the parser says.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """Take a piece of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one of its headers, or trailers."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Have it answered, unless another one is; what opens a WebSocket is not for here."""
        parser = self._parser
        if parser.should_upgrade() and self._opens_websocket():
            return
        version = parser.get_http_version()
        scope = self._scope(version)
        exchange = self._reads = Exchange(self, scope)
        exchange.keeps_alive = version != "1.0" and parser.should_keep_alive()
        self._unanswered.append(exchange)
        if len(self._unanswered) == 1:
            self._answer(exchange)
        else:
            self._pause_reading()

    def on_body(self, body: bytes) -> None:
        """Take a piece of its body."""
        if self._reads is not None and self._reads.take(body) > _MOST_UNREAD:
            self._pause_reading()

    def on_message_complete(self) -> None:
        """Take its end."""
        if self._reads is not None:
            self._reads.take_end()
            self._reads = None

    # What an exchange asks for.

    @property
    def common_headers(self) -> Iterable[tuple[bytes, bytes]]:
        """What every answer tells, such as the date."""
        return self._server.default_headers

    def resume_reading(self) -> None:
        """Read on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    def answered(self) -> None:
        """Go on with what waits, or wait for the next request."""
        if self.transport.is_closing():
            return
        self._unanswered.popleft()
        self.resume_reading()
        if self._unanswered:
            self._answer(self._unanswered[0])
        else:
            self._idle = self._loop.call_later(self._config.timeout_keep_alive, self.transport.close)

    def refuse(self, status: int, text: bytes) -> None:
        """Answer with a plain text, and close it."""
        self.transport.write(refusal(status, text))
        self.transport.close()

    def _answer(self, exchange: Exchange) -> None:
        tasks = self._server.tasks
        task = self._loop.create_task(exchange.run(self._config.loaded_app))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _scope(self, version: str) -> Scope:
        """Return what ASGI says of the request; raises what the parser takes for a target that is none."""
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": None,
            "client": None,
            "scheme": "http",
            "root_path": "",
            "headers": self._headers,
            "state": {},
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
        }

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def _cease_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _opens_websocket(self) -> bool:
        said = dict(self._headers)
        tokens = {token.strip() for token in said.get(b"connection", b"").lower().split(b",")}
        return b"upgrade" in tokens and said.get(b"upgrade", b"").lower() == b"websocket"

    def _become_websocket(self) -> None:
        """Hand it over, and tell the one who takes it the request once more."""
        self._server.connections.discard(self)
        lines = [b"%b: %b\r\n" % header for header in self._headers]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self._parser.get_method(), self._url, b"".join(lines))
        protocol = cast(Any, self._config.ws_protocol_class)(
            config=self._config, server_state=self._server, app_state=self._app_state
        )
        protocol.connection_made(self.transport)
        protocol.data_received(head)
        self.transport.set_protocol(protocol)
        self._parser = None
