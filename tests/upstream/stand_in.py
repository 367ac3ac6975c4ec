"""Small upstreams on loopback that misbehave in one way each, as the faithful sandbox does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from server.pool.account import AccountId, Session
from server.upstream.platform import Platform

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
COOKIE = "0f6f3c1e-5d0b-4a57-9d5f-6f0c6f1d2a3b"
USER = {"id": "u-1", "name": "Ann", "email": "a@b.c", "role": "individual", "is_blocked": False}
SESSION = Session(AccountId("acc_1"), COOKIE)


@asynccontextmanager
async def upstream(**routes: Handler) -> AsyncIterator[str]:
    """Serve handlers and yield the URL.

    One called `GET_users_models` serves that path below /api/v1 (`__` is a hyphen), `any` all the rest.
    """
    app = web.Application(client_max_size=1 << 26)
    for name, handler in routes.items():
        if name == "any":
            continue
        method, _, path = name.partition("_")
        app.router.add_route(method, "/api/v1/" + path.replace("_", "/").replace("//", "-"), _route(handler))
    if "any" in routes:
        app.router.add_route("*", "/{path:.*}", _route(routes["any"]))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _route(handler: Handler) -> Handler:
    async def route(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    return route


@asynccontextmanager
async def platform(**routes: Handler) -> AsyncIterator[Platform]:
    """A Platform that speaks with such an upstream."""
    async with upstream(**routes) as url, Platform(url, connect_timeout=20.0, read_timeout=20.0) as made:
        yield made


@asynccontextmanager
async def raw_upstream(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve a conversation over bare TCP; yield the URL. Each connection is closed when `talk` returns."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP request, head and body, off a raw connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return head + await reader.readexactly(length)


async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Answer a request with nothing."""
    await read_request(reader)


async def speak_gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request in another protocol."""
    await read_request(reader)
    writer.write(b"220 smtp.example.com ready\r\n\r\n")
    await writer.drain()


def says(data: Any = None, *, code: int = 0, message: str = "success", status: int = 200) -> Handler:
    """Return a handler that answers with the platform's envelope."""

    async def handler(_: web.Request) -> web.Response:
        body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            body["data"] = data
        return web.json_response(body, status=status)

    return handler


def answers(text: str, *, status: int = 200, kind: str = "text/html", **headers: str) -> Handler:
    """Return a handler that answers with a body as it is."""

    async def handler(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(text=text, status=status, content_type=kind, headers=named)

    return handler


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that takes the given ones one after another; the last one stays."""
    left = list(handlers)

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return handler


class Recorder:
    """A handler that keeps what it was asked and answers with another one."""

    def __init__(self, then: Handler) -> None:
        self._then = then
        self.asked: list[web.Request] = []
        self.bodies: list[Any] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        body = await request.read()
        self.bodies.append(json.loads(body) if body else None)
        return await self._then(request)
