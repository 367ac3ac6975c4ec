"""What stands between the socket and the routes: the oracle's notes, the proxy, faults, envelopes."""

import asyncio
import hmac
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from sandbox.routes.caller import backend_of, session_of
from sandbox.routes.envelope import Failure, Unauthorized, failed, language_of, reply
from sandbox.world.faults import RouteFault

_LOG: Final = logging.getLogger(__name__)
_OWN: Final = ("/__sandbox/", "/readyz")
_ECHO: Final = {404: "Not Found", 405: "Method Not Allowed", 413: "Request Entity Too Large"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the oracle of every request but those to itself."""
    if request.path.startswith(_OWN):
        return await handler(request)
    resource = request.match_info.route.resource
    session = session_of(request)
    record = backend_of(request).oracle.request(
        f"{request.method} {resource.canonical if resource else request.path}",
        request.path_qs,
        session.account.email if session else "",
        dict(request.headers),
    )
    response = await handler(request)
    record["status"] = response.status
    return response


@web.middleware
async def demand_basic_auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stand in for a proxy that asks for HTTP Basic Auth (§1.1)."""
    wanted = backend_of(request).settings.basic_auth
    if wanted and not request.path.startswith(_OWN):
        expected = "Basic " + b64encode(wanted.encode()).decode("ascii")
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="sandbox"'})
    return await handler(request)


@web.middleware
async def do_harm(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let an ordered fault happen, before or after the route's effect."""
    fault = None
    if not request.path.startswith(_OWN):
        session = session_of(request)
        email = session.account.email if session else ""
        fault = backend_of(request).faults.for_request(request.method, request.path, email)
    if fault is None:
        return await handler(request)
    if fault.when == "after" and hdrs.UPGRADE not in request.headers:
        await handler(request)
    return await _harmed(request, fault)


async def _harmed(request: web.Request, fault: RouteFault) -> web.Response:
    match fault.do:
        case "status":
            return web.Response(
                status=fault.status, text=fault.message or "Bad Gateway", content_type="text/html"
            )
        case "code":
            failure = Failure(fault.code, 200, fault.message)
            return failed(failure, language_of(request))
        case "unauthorized":
            return web.Response(status=401, text="Unauthorized")
        case "hang":
            await _hang(request, fault.seconds)
        case "drop":
            pass
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # goes nowhere


async def _hang(request: web.Request, seconds: float) -> None:
    waited = 0.0
    while waited < seconds and request.transport is not None:
        await asyncio.sleep(0.05)
        waited += 0.05


@web.middleware
async def envelop(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn failures into the platform's replies (§1.3); anything unforeseen is its code 500."""
    try:
        return await handler(request)
    except Unauthorized:
        return web.Response(status=401, text="Unauthorized")
    except Failure as failure:
        return failed(failure, language_of(request))
    except web.HTTPException as error:
        return reply(error.status, {"message": _ECHO.get(error.status, error.reason)})
    except Exception:
        _LOG.exception("%s %s failed", request.method, request.path)
        return failed(Failure(500), language_of(request))


MIDDLEWARES: Final = (note, demand_basic_auth, do_harm, envelop)
