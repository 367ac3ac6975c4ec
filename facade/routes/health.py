"""GET /healthz: this process lives. GET /readyz: it can serve, for its server does."""

import msgspec
from fastapi import APIRouter
from howler.error.v1.error_reason_pb2 import ErrorReason
from starlette.responses import Response

from facade.errors import ApiError
from facade.routes.front import Front


def health_routes(front: Front) -> APIRouter:
    """Return the routes, bound to the facade's parts."""
    router = APIRouter()

    @router.get("/healthz", response_model=None)
    async def alive() -> Response:
        return _status("alive")

    @router.get("/readyz", response_model=None)
    async def ready() -> Response:
        if not await front.backend.is_ready():
            raise ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)
        return _status("ready")

    return router


def _status(status: str) -> Response:
    return Response(msgspec.json.encode({"status": status}), media_type="application/json")
