"""The facade as one ASGI application: the routes, one envelope for all errors, and the outermost layer.

The routes are Starlette's own: FastAPI's would look for dependencies and models at each request, and
there are none (a request through them costs 67 µs, through these 17).
"""

import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facade.cors import AllowedOrigins
from facade.errors import ApiError, internal
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


def create_app(front: Front) -> ASGIApp:
    """Return the application; each of its errors is OpenAI's envelope."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_UNTOLD,
        routes=[
            *chat_routes(front),
            *completion_routes(front),
            *responses_routes(front),
            *stored_routes(front),
            *conversation_routes(front),
            *model_routes(front),
            *health_routes(front),
            *reference_routes(),
        ],
    )
    app.add_exception_handler(ApiError, _tell)
    app.add_exception_handler(HTTPException, _tell_routing)
    app.add_exception_handler(Exception, _tell_bug)
    return Edge(AllowedOrigins(app, front.origins))


async def _tell(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers = {name.decode(): value.decode() for name, value in error.headers()}
    if error.status == 413:
        headers["connection"] = "close"  # what is left of the body is not worth reading
    return Response(error.body(), error.status, headers, "application/json")


async def _tell_routing(request: Request, error: Exception) -> Response:
    """Answer what the router refused: an unknown path or a method that the path does not have."""
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error"
    if error.status_code == 405:
        told = ApiError(405, kind, "method_not_allowed", "This path does not have that method.")
    else:
        told = ApiError(error.status_code, kind, "unknown_url", "There is nothing at this path.")
    answer = await _tell(request, told)
    answer.headers.update(error.headers or {})
    return answer


async def _tell_bug(request: Request, _: Exception) -> Response:
    """Answer a bug in a route; Starlette raises it on to Edge, which logs it under the same id."""
    request.state.incident = incident = uuid.uuid4().hex
    return await _tell(request, internal(incident))


class Edge:
    """Gives each request an id, answers with it, logs a line without query and body, and catches bugs.

    The id is the caller's `x-request-id` where that is plain text of at most
    128 characters, else a fresh `req_…`. It stands in `scope["state"]["request_id"]`; beside
    it as `send` the way to the socket, for the many pieces of a stream that has begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        scope.setdefault("state", {}).update(request_id=request_id, send=send)
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
            incident = scope["state"].get("incident") or uuid.uuid4().hex
            _log.exception("incident %s in request %s", incident, request_id)
            if not status and scope["type"] == "http":
                error = internal(incident)
                await send_json(tell, error.status, error.body(), error.headers())
        finally:
            taken = (time.monotonic() - began) * 1000
            method, path = scope.get("method", "WEBSOCKET"), _plain(scope["path"])
            _log.info("%s %s %d %.0f ms %s", method, path, status, taken, request_id)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = next((value for name, value in headers if name == b"x-request-id"), b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"


def _plain(path: str) -> str:
    """Return a path fit for a line of the log."""
    return path[:200].encode("unicode_escape").decode()
