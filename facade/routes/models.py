"""GET /v1/models and /v1/models/{id}."""

import msgspec
from fastapi import APIRouter
from howler.model.v1.model_service_pb2 import ResolveRequest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from facade.openai.model_list import model_list, model_object
from facade.routes.front import Front, request_id


def model_routes(front: Front) -> APIRouter:
    """Return the routes, bound to the facade's parts."""
    router = APIRouter()

    @router.get("/v1/models", response_model=None)
    async def list_models(request: Request) -> Response:
        models = await front.backend.models(request_id(request))
        return Response(model_list(models), media_type="application/json")

    @router.get("/v1/models/{model_id:path}", response_model=None)
    async def retrieve(request: Request, model_id: str) -> Response:
        if not model_id:
            raise HTTPException(404)
        wanted = ResolveRequest(model=model_id, strict=front.rules.strict(model_id))
        model = await front.backend.resolve(wanted, request_id(request))
        return Response(msgspec.json.encode(model_object(model)), media_type="application/json")

    return router
