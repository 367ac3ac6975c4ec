"""The facade as one ASGI application: the routes, one envelope for all errors, and the outermost layer.

The routes are Starlette's own: FastAPI's would look for dependencies and models at each request, and
there are none (a request through them costs 67 µs, through these 17). Requests for a path without
parameters do not even go through FastAPI.
"""

import logging
import re
import time
from collections.abc import Iterable
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facade.cors import AllowedOrigins
from facade.errors import ApiError, internal
from facade.ids import new_id
from facade.routes.chat import chat_routes
from facade.routes.completions import completion_routes
from facade.routes.conversations import conversation_routes
from facade.routes.front import Front
from facade.routes.health import health_routes
from facade.routes.models import model_routes
from facade.routes.reference import reference_routes
from facade.routes.responses import responses_routes
from facade.routes.stored import stored_routes
from facade.sse import send_json

_log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_UNTOLD: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own telemetry: it would tell of exceptions whole, and asks at each request whether to."""

_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


def all_routes(front: Front) -> list[BaseRoute]:
    """Return what is served, bound to the facade's parts."""
    return [
        *chat_routes(front),
        *completion_routes(front),
        *responses_routes(front),
        *stored_routes(front),
        *conversation_routes(front),
        *model_routes(front),
        *health_routes(front),
        *reference_routes(),
    ]


def create_app(front: Front) -> ASGIApp:
    """Return the application; each of its errors is OpenAI's envelope."""
    routes = all_routes(front)
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_UNTOLD,
        routes=routes,
    )
    app.add_exception_handler(ApiError, _tell)
    app.add_exception_handler(HTTPException, _tell)
    app.add_exception_handler(Exception, _tell_bug)
    return Edge(AllowedOrigins(Straight(app, routes), front.origins))


class Straight:
    """Takes requests for paths without parameters to their routes, all else to the application.

    Where FastAPI would take them, they would pass through thirty calls first: a tenth of a chat's CPU.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._endpoints = {
            (method, route.path): route.endpoint
            for route in routes
            if isinstance(route, Route) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        endpoint = self._endpoints.get((scope.get("method", ""), scope["path"]))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer: ASGIApp = await endpoint(request)
        except (ApiError, HTTPException) as error:
            answer = _told(error)
        except ClientDisconnect:
            raise
        except Exception as error:
            told = await _tell_bug(request, error)
            await told(scope, receive, send)  # not by Edge: a browser's page reads no answer without CORS
            raise
        await answer(scope, receive, send)


async def _tell(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError | HTTPException)
    return _told(error)


async def _tell_bug(request: Request, _: Exception) -> Response:
    """Answer a bug in a route; it is raised on to Edge, which logs it under the same id."""
    request.state.incident = incident = new_id()
    return _told(internal(incident))


def _told(error: ApiError | HTTPException) -> Response:
    """Return the answer to what a route or the router refused."""
    if isinstance(error, HTTPException):
        answer = _told(_misrouted(error.status_code))
        answer.headers.update(error.headers or {})
        return answer
    headers = {name.decode(): value.decode() for name, value in error.headers()}
    if error.status == 413:
        headers["connection"] = "close"  # what is left of the body is not worth reading
    return Response(error.body(), error.status, headers, "application/json")


def _misrouted(status: int) -> ApiError:
    """Return the error for an unknown path, or for a method that the path does not have."""
    kind = "invalid_request_error"
    if status == 405:
        return ApiError(status, kind, "method_not_allowed", "This path does not have that method.")
    return ApiError(status, kind, "unknown_url", "There is nothing at this path.")


class Edge:
    """Gives each request an id, answers with it, logs a line without query and body, and catches bugs.

    The id is the caller's `x-request-id` where that is plain text of at most
    128 characters, else a fresh `req_…`. It stands in `scope["state"]["request_id"]`; beside
    it as `headers` the request's, by their names in lower case, of a repeated one the first,
    and as `send` the way to the socket, for the many pieces of a stream that has begun; `wire` is there
    from http.Connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        named = reversed(scope["headers"])
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in named}
        request_id = _request_id(headers.get("x-request-id", ""))
        scope.setdefault("state", {}).update(request_id=request_id, headers=headers, send=send)
        began, status = time.monotonic(), 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message.get("status", 101)
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    (b"openai-version", b"2020-10-01"),
                    (b"openai-processing-ms", b"%d" % ((time.monotonic() - began) * 1000)),
                ]
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except ClientDisconnect:
            status = status or 499  # nobody is there to read it; nginx's word for the log
        except Exception:
            incident = scope["state"].get("incident") or new_id()
            _log.exception("incident %s in request %s", incident, request_id)
            if not status and scope["type"] == "http":
                error = internal(incident)
                await send_json(tell, error.status, error.body(), error.headers())
        finally:
            del scope["state"]["send"]  # which holds the scope itself: only the collector would end that
            scope["state"].pop("wire", None)  # likewise
            taken = (time.monotonic() - began) * 1000
            method, path = scope.get("method", "WEBSOCKET"), _plain(scope["path"])
            _log.info("%s %s %d %.0f ms %s", method, path, status, taken, request_id)


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else f"req_{new_id()}"


def _plain(path: str) -> str:
    """Return a path fit for a line of the log."""
    return path[:200].encode("unicode_escape").decode()
