"""A fast stand-in for the platform, for load: its REST, its stream socket, any cookie, any number of tasks.

It knows no rule and checks nothing; the sandbox is the faithful one. What a
turn says is asked for in its prompt (bench/tokens.py). With `--dialect openai`
it is a model server instead. It sends no ping: no turn here is silent for long.

    python -m bench.stub --port 9700
"""

import argparse
import asyncio
import base64
import hashlib
import json
import signal
import time
from collections.abc import Callable
from typing import Any, Final, cast, get_args
from urllib.parse import parse_qs, urlsplit

import httptools
import uvloop

from bench.frames import Unframer
from bench.replies import answer
from bench.script import Dialect, Script, frame, script
from bench.tokens import Ask

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_HIGH_WATER: Final = 256 << 10  # bytes that wait in a socket before a burst pauses
_SILENT_SECONDS: Final = 60.0  # a proxy in front of the platform drops a silent socket about then (§6.10)


def _now_us() -> int:
    return time.monotonic_ns() // 1000


class Turn:
    """Writes one turn to one connection, paced or as fast as it is read."""

    def __init__(self, connection: "Connection", said: Script, every_ms: float) -> None:
        self._connection = connection
        self._said = said
        self._every = every_ms / 1000
        self._at = 0
        self._due = 0.0
        self._over = False
        self._loop = asyncio.get_running_loop()

    def begin(self) -> None:
        """Write the opening and start with the tokens."""
        self._connection.write(self._said.opening)
        if self._every:
            self._due = self._loop.time()
            self._tick()
        else:
            self.resume()

    def resume(self) -> None:
        """Write on in a burst, until the connection is full."""
        connection, burst = self._connection, self._said.burst
        while not self._every and not self._over and connection.writable:
            connection.write(burst[self._at])
            self._at += 1
            if self._at == len(burst):
                self._end()

    def cut(self) -> None:
        """End it now, as `user-cancel` does."""
        if not self._over:
            self._end()

    def _tick(self) -> None:
        if self._over or not self._connection.is_open:
            return
        self._connection.write(self._said.token(self._at, _now_us()))
        self._at += 1
        if self._at == self._said.tokens:
            self._end()
            return
        self._due += self._every  # of the plan, not of the moment: a late token delays no other
        self._loop.call_at(self._due, self._tick)

    def _end(self) -> None:
        self._over = True
        self._connection.write(self._said.ending)
        self._connection.fall_silent()


class Connection(asyncio.Protocol):
    """One connection: HTTP requests, or a stream socket once it was asked for."""

    def __init__(self, dialect: Dialect, tasks: dict[str, Ask]) -> None:
        self._dialect = dialect
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._full = False
        self._turn: Turn | None = None
        self._unframer: Unframer | None = None
        self._task = Ask(1)
        self._fresh()

    def _fresh(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = ""
        self._key = b""
        self._body = b""

    @property
    def is_open(self) -> bool:
        """The other side is there."""
        return self._transport is not None

    @property
    def writable(self) -> bool:
        """The other side is there and reads."""
        return self._transport is not None and not self._full

    def write(self, data: bytes) -> None:
        """Write, unless the other side has gone."""
        if self._transport is not None:
            self._transport.write(data)

    def fall_silent(self) -> None:
        """Leave it to the other side to close a stream socket, but not for ever."""
        if self._unframer is not None:
            asyncio.get_running_loop().call_later(_SILENT_SECONDS, self.close)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None

    def pause_writing(self) -> None:
        """Stop a burst."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on with a burst."""
        self._full = False
        if self._turn is not None:
            self._turn.resume()

    def data_received(self, data: bytes) -> None:
        """Read a request, or frames."""
        if self._unframer is not None:
            self._heard(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._heard(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.close()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._url += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        if name.lower() == b"sec-websocket-key":
            self._key = value

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer the request."""
        method = self._parser.get_method().decode()
        target = urlsplit(self._url)
        body = self._body
        if self._key:
            self._open_socket(parse_qs(target.query))
            return
        if target.path == "/v1/chat/completions":
            self._complete(body)
        else:
            self._reply(answer(method, target.path, body, self._tasks))
        self._url, self._body = "", b""

    def _reply(self, value: Any) -> None:
        body = json.dumps(value, separators=(",", ":")).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.write(head + body)

    def _complete(self, body: bytes) -> None:
        asked = Ask.read(body.decode(errors="replace"))
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        self._turn = Turn(self, script("openai", asked.tokens), asked.every_ms)
        self._turn.begin()

    def _open_socket(self, query: dict[str, list[str]]) -> None:
        accept = base64.b64encode(hashlib.sha1(self._key + _GUID, usedforsecurity=False).digest())
        self.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._unframer = Unframer()
        self._task = self._tasks.get(query.get("id", [""])[0], Ask(1))
        if query.get("mode", ["new"])[0] != "new":  # any other value behaves as attach (§6.1)
            self._run()

    def _heard(self, data: bytes) -> None:
        assert self._unframer is not None
        for opcode, payload in self._unframer.feed(data):
            match opcode:
                case 8:
                    self.write(frame(payload[:2], 8))
                    self.close()
                case 9:
                    self.write(frame(payload, 10))
                case 1 | 2 if b'"user-cancel"' in payload and self._turn is not None:
                    self._turn.cut()
                case 1 | 2 if b'"user-input"' in payload and self._turn is None:
                    self._run()

    def _run(self) -> None:
        self._turn = Turn(self, script(self._dialect, self._task.tokens), self._task.every_ms)
        self._turn.begin()


async def serve(port: int, dialect: Dialect, ready: Callable[[int], None]) -> None:
    """Serve on loopback until SIGTERM or SIGINT; `ready` is told the port."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    tasks: dict[str, Ask] = {}
    server = await loop.create_server(lambda: Connection(dialect, tasks), "127.0.0.1", port, backlog=4096)
    ready(server.sockets[0].getsockname()[1])
    await stopped.wait()
    server.close()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.stub", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--dialect", choices=get_args(Dialect), default="native")
    given = parser.parse_args()

    def ready(port: int) -> None:
        print(f"bench.stub: serving http://127.0.0.1:{port}", flush=True)  # noqa: T201

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.port, given.dialect, ready))


if __name__ == "__main__":
    main()
