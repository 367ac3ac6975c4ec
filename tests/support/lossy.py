"""Stands between a client and PostgreSQL, and loses a connection when it is told to, answer and all."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

_PORT = 5432


class Lossy:
    """Passes bytes on. `url` is where it is in place of the one given, which names a folder of a socket.

    After `lose_answers()` the next that the client says is passed on; the answer is lost, and the connection
    with it; then all is as before. `lost` counts the connections that were lost. From `go_away()` to
    `come_back()` nobody gets through.
    """

    def __init__(self, url: str) -> None:
        self._given = urlsplit(url)
        self._socket = Path(parse_qs(self._given.query)["host"][0], f".s.PGSQL.{self._given.port or _PORT}")
        self._folder = tempfile.TemporaryDirectory(prefix="howler-lossy-")
        self._losing = self._away = False
        self._serving: set[asyncio.Task[None]] = set()
        self.lost = 0
        self.url = urlunsplit(self._given._replace(query=urlencode({"host": self._folder.name})))

    async def __aenter__(self) -> Self:
        path = Path(self._folder.name, self._socket.name)
        self._server = await asyncio.start_unix_server(self._accept, path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        self._folder.cleanup()

    def lose_answers(self) -> None:
        """Lose the next answer."""
        self._losing = True

    def go_away(self) -> None:
        """Lose every connection, and those that come."""
        self._away = True
        for task in self._serving:
            task.cancel()

    def come_back(self) -> None:
        """Let through who comes from now on."""
        self._away = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._away:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._socket)
        doomed = asyncio.Event()
        up = asyncio.create_task(self._pass_on(reader, far_writer, doomed))
        try:
            while said := await far_reader.read(1 << 16):
                if doomed.is_set():
                    self.lost += 1
                    break
                writer.write(said)
                await writer.drain()
        except OSError:
            pass  # the database was restarted
        finally:
            up.cancel()
            writer.close()
            far_writer.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while said := await reader.read(1 << 16):
                if self._losing:
                    self._losing = False
                    doomed.set()
                writer.write(said)
                await writer.drain()
        writer.close()
