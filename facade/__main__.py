"""`python -m facade`: settings -> backend -> routes -> a listening socket."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Generator
from typing import Final

import uvicorn
import uvloop

from facade.app import create_app
from facade.backend import Backend
from facade.config import Settings, SettingsError, host_and_port
from facade.http import Connection
from facade.log import log_to_stderr
from facade.openai.start import Rules
from facade.routes.front import Front
from facade.routes.lines import Lines

_PATIENCE: Final = 5.0
"""Seconds that running turns have to end by themselves when the process is told to go."""

_PONG_TIMEOUT: Final = 60
"""Seconds after which a WebSocket that answers no ping is lost; a client may be busy for some."""

_KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than clients' pools keep theirs, or the two race."""


class Listener(uvicorn.Server):
    """uvicorn, with signals that end it in order: no more requests, turns ended, exit code 0."""

    def __init__(self, config: uvicorn.Config, backend: Backend, lines: Lines) -> None:
        super().__init__(config)
        self._backend = backend
        self._lines = lines

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGINT and SIGTERM; unlike uvicorn's own, a signal taken is not raised again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where it serves, once it does and minds signals."""
        await super().startup(sockets)
        _settle_memory()
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"facade: serving http://{shown}:{port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order; uvicorn itself would cut WebSockets in the middle of an answer."""
        for server in self.servers:
            server.close()
        await self._lines.close()
        await super().shutdown(sockets)

    def _stop(self) -> None:
        if self.should_exit:
            self._backend.end_turns()  # asked twice: no more patience
        self.should_exit = True
        asyncio.get_running_loop().call_later(_PATIENCE, self._backend.end_turns)


def _settle_memory() -> None:
    """Take what is there now for what stays: the collector looks through it no more, and looks less often.

    A request leaves little for it. Both together take a tenth of a request's CPU away.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def serve(settings: Settings, listening: socket.socket) -> None:
    """Serve until a signal comes."""
    backend = Backend(settings.target())
    rules = Rules(
        model_fallback=settings.model_fallback,
        forward_instructions=settings.forward_instructions,
        questions=settings.questions,
        unsupported_params=settings.unsupported_params,
        keep_chats=settings.keep_chats,
        client_tools=settings.client_tools,
    )
    front = Front(
        backend,
        rules,
        settings.max_body_bytes,
        settings.pace(),
        settings.presentation(),
        settings.chat_padding(),
        settings.response_padding(),
        settings.origins(),
        settings.responses_websocket,
    )
    app = create_app(front)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=settings.max_body_bytes,
        ws_ping_timeout=_PONG_TIMEOUT,
        ws_per_message_deflate=False,  # a compressor per connection, for frames of a hundred bytes
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody here asks who the client is
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(_PATIENCE) + 2,
    )
    await Listener(config, backend, front.lines).serve(sockets=[listening])
    await backend.close()


def main() -> int:
    """Run the facade; 2 where a setting is wrong or the address cannot be had."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        print(f"facade: {error}", file=sys.stderr)
        return 2
    log_to_stderr(settings.level())
    host, port = host_and_port(settings.http_addr)
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        print(
            f"facade: HOWLER_HTTP_ADDR: cannot listen on {settings.http_addr}: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    uvloop.run(serve(settings, listening))
    return 0


if __name__ == "__main__":
    sys.exit(main())
