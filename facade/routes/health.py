"""GET /healthz: this process lives. GET /readyz: it can serve, for its server does."""

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from facade.errors import ApiError
from facade.routes.front import Front


def health_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""

    async def alive(_: Request) -> Response:
        return _status("alive")

    async def ready(_: Request) -> Response:
        if not await front.backend.is_ready():
            raise ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)
        return _status("ready")

    return [Route("/healthz", alive), Route("/readyz", ready)]


def _status(status: str) -> Response:
    return Response(msgspec.json.encode({"status": status}), media_type="application/json")
