"""Lets browsers' pages of allowed origins use the API, and no others (openai-surface.md §2)."""

from collections.abc import Awaitable, Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from facade.errors import ApiError

ANY_ORIGIN: Final = "*"

_METHODS: Final = ("GET", "POST", "DELETE", "OPTIONS")
_EXPOSED: Final = ("x-request-id", "openai-processing-ms", "retry-after", "x-gateway-ignored-params")


class AllowedOrigins:
    """Speaks CORS with pages of the origins, `*` for any; to all others it says nothing about it.

    Preflights are told the headers that they ask for: a literal `*` does not cover `authorization`.
    A browser opens WebSockets to anybody without a preflight, so those of other pages are refused here.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._shared = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=_METHODS,
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        origin = scope["state"]["headers"].get("origin")  # where no browser asks there is none
        allowed = origin is not None and (origin in self._origins or ANY_ORIGIN in self._origins)
        if scope["type"] == "websocket":
            app = self._app if allowed or origin is None else _refuse
        else:
            app = self._shared if allowed else self._app
        return app(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = ApiError(
        403, "invalid_request_error", "permission_denied", "Pages of this origin may not do that."
    )
    denial = Response(error.body(), status_code=error.status, media_type="application/json")
    await WebSocket(scope, receive, send).send_denial_response(denial)
