"""Stands between a client and a server and cuts WebSockets: by FIN or RST, at any byte or moment."""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: close sends RST
_MOST_BYTES: Final = 20_000
_MOST_SECONDS: Final = 2.0
_PROMPT_BYTES, _PROMPT_SECONDS = 1_000, 0.5  # that a socket lives at least on which a prompt is said


class Cutting:
    """A TCP proxy. `url` is where it is; it knows of HTTP no more than `Upgrade: websocket`.

    Every WebSocket is cut, after a random number of bytes from the server or a random time, whichever the
    dice say, until `cuts` were. One of `mode=new` has the time to say its prompt: whether one that is lost
    on the way ran nobody knows. `made` counts the cuts by the way they were made.
    """

    def __init__(self, upstream: str, cuts: int, seed: int) -> None:
        self._host, self._port = urlsplit(upstream).hostname, urlsplit(upstream).port
        self._cuts = cuts
        self._dice = random.Random(seed)
        self._serving: set[asyncio.Task[None]] = set()
        self.made = {"fin": 0, "rst": 0}
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def lead_to(self, upstream: str) -> None:
        """Connect whoever comes from now on to another server."""
        self._host, self._port = urlsplit(upstream).hostname, urlsplit(upstream).port

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        doom = asyncio.get_running_loop().create_future()
        up = asyncio.create_task(self._pass_up(reader, far_writer, lambda asked: self._doom(doom, asked)))
        try:
            with suppress(OSError):
                await self._pass_down(far_reader, writer, doom)
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            for end in (writer, far_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()

    def _doom(self, doom: "asyncio.Future[tuple[int, float]]", asked: bytes) -> None:
        """Choose where the WebSocket that is asked for is cut: after so many bytes, or so many seconds."""
        if doom.done():
            return
        least, soonest = (_PROMPT_BYTES, _PROMPT_SECONDS) if b"mode=new" in asked else (0, 0.0)
        if self._dice.random() < 0.5:
            doom.set_result((self._dice.randrange(least, _MOST_BYTES), _MOST_SECONDS))
        else:
            doom.set_result((1 << 62, self._dice.uniform(soonest, _MOST_SECONDS)))

    async def _pass_up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upgraded: Callable[[bytes], None]
    ) -> None:
        with suppress(OSError):
            while said := await reader.read(1 << 16):
                if b"upgrade: websocket" in said.lower():
                    upgraded(said)
                writer.write(said)
                await writer.drain()
            writer.close()

    async def _pass_down(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        doom: "asyncio.Future[tuple[int, float]]",
    ) -> None:
        loop = asyncio.get_running_loop()
        passed, until = 0, None
        while True:
            if self.total >= self._cuts:
                until, doom = None, loop.create_future()
            elif doom.done() and until is None:
                until = loop.time() + doom.result()[1]
            try:
                async with asyncio.timeout_at(until):
                    said = await reader.read(1 << 16)
            except TimeoutError:
                self._cut(writer)
                return
            if not said:
                return
            most = doom.result()[0] if doom.done() else 1 << 62
            writer.write(said[: max(most - passed, 0)])
            passed += len(said)
            if passed >= most:
                self._cut(writer)
                return
            await writer.drain()

    @property
    def total(self) -> int:
        """How many cuts were made."""
        return sum(self.made.values())

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        how = self._dice.choice(("fin", "rst"))
        self.made[how] += 1
        if how == "rst":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()
