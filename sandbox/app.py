"""Puts the sandbox's web application together."""

import asyncio
from typing import Final

from aiohttp import WSCloseCode, web

from sandbox.middleware import MIDDLEWARES
from sandbox.routes import control, create, offers, oracle, rounds, stream, tasks, uploads, users
from sandbox.routes.caller import BACKEND
from sandbox.routes.socket import OPEN, OpenSockets
from sandbox.world.backend import Backend

_BODY_LIMIT: Final = 10 * 1024 * 1024  # bytes; the proxy's limit under /api/ (§1.1)


def build(backend: Backend) -> web.Application:
    """Return the application that serves this backend."""
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=_BODY_LIMIT)
    app[BACKEND] = backend
    app[OPEN] = OpenSockets()
    app[uploads.SIGNED] = {}
    for part in (users, offers, create, rounds, tasks, stream, control, oracle):
        app.add_routes(part.routes)
    if backend.settings.storage == "true":  # else the routes do not exist (§5.9)
        app.add_routes(uploads.routes)
    app.on_shutdown.append(_close_sockets)
    return app


async def _close_sockets(app: web.Application) -> None:
    await app[BACKEND].close()
    # At once: a peer that does not answer the close costs its whole timeout.
    await asyncio.gather(*(ws.close(code=WSCloseCode.GOING_AWAY) for ws in app[OPEN].all))
