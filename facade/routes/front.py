"""What every route needs: the backend, the rules, and a request's own facts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response

from facade.backend import Backend
from facade.errors import ApiError
from facade.openai.continuation import Said
from facade.openai.presentation import Presentation
from facade.openai.start import Rules
from facade.routes.lines import Lines
from facade.sse import Header, Pace, Padding

_ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class Front:
    """The facade's parts, made once by __main__."""

    backend: Backend
    rules: Rules
    max_body_bytes: int
    pace: Pace = field(default_factory=Pace)
    presentation: Presentation = field(default_factory=Presentation)
    chat_padding: Padding | None = None
    response_padding: Padding | None = field(default_factory=Padding)
    origins: tuple[str, ...] = ()
    """Whose pages may use it from a browser."""
    responses_websocket: bool = True
    """/v1/responses may be spoken to over a WebSocket."""
    socket_idle: float = 3600.0
    """Seconds until a WebSocket on which nothing is asked is closed."""
    lines: Lines = field(default_factory=Lines)
    """Those WebSockets."""


class Caller(NamedTuple):
    """Who asks, and how: what app.Edge noted, and `spoken`, which is what the connection remembers.

    `principal` is the one on whose behalf the request comes: the SHA-256 of its key, which may be any, or
    `anonymous`.
    """

    headers: Mapping[str, str]
    principal: str
    request_id: str
    spoken: Mapping[str, Said] = MappingProxyType({})

    @classmethod
    def of(cls, connection: HTTPConnection) -> Self:
        """Return who made a request or opened a WebSocket."""
        noted = connection.scope["state"]
        return cls(noted["headers"], _principal(noted["headers"]), noted["request_id"])


def _principal(headers: Mapping[str, str]) -> str:
    """Find the key, which comes as a Bearer token or as `x-api-key`."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    return hashlib.sha256(key.encode()).hexdigest() if key else _ANONYMOUS


def ignored_header(names: tuple[str, ...]) -> list[Header]:
    """Return `x-gateway-ignored-params`, where there are such."""
    return [(b"x-gateway-ignored-params", ",".join(names).encode())] if names else []


def json_answer(value: object, headers: list[Header] | None = None) -> Response:
    """Return a value as the answer."""
    answer = Response(msgspec.json.encode(value), media_type="application/json")
    answer.raw_headers.extend(headers or [])
    return answer


async def read_body(request: Request, most: int) -> bytes:
    """Return the body; raises the 413 as soon as it is known to be larger than `most` bytes."""
    declared = request.scope["state"]["headers"].get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        if size == len(chunk) and not more:
            return chunk  # as nearly all are: whole at once
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, "invalid_request_error", "request_too_large", f"The body is larger than {most} bytes."
    )
