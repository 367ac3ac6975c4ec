"""Lets browsers' pages of allowed origins use the API (openai-surface.md §2)."""

from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

ANY_ORIGIN: Final = "*"

_METHODS: Final = ("GET", "POST", "DELETE", "OPTIONS")
_EXPOSED: Final = ("x-request-id", "openai-processing-ms", "retry-after", "x-gateway-ignored-params")


class AllowedOrigins:
    """Speaks CORS with pages of the origins, `*` for any; to all others it says nothing about it.

    Preflights are told the headers that they ask for: a literal `*` does not cover `authorization`.
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._shared if scope["type"] == "http" and self._allows(scope) else self._app
        await app(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        origin = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None
        )
        return origin in self._origins or (origin is not None and ANY_ORIGIN in self._origins)
