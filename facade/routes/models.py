"""GET /v1/models and /v1/models/{id}."""

import msgspec
from howler.model.v1.model_service_pb2 import ResolveRequest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from facade.openai.model_list import model_list, model_object
from facade.routes.front import Caller, Front


def model_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""

    async def list_models(request: Request) -> Response:
        models = await front.backend.models(Caller.of(request).request_id)
        return Response(model_list(models), media_type="application/json")

    async def retrieve(request: Request) -> Response:
        model_id: str = request.path_params["model_id"]
        if not model_id:
            raise HTTPException(404)
        wanted = ResolveRequest(model=model_id, strict=front.rules.strict(model_id))
        model = await front.backend.resolve(wanted, Caller.of(request).request_id)
        return Response(msgspec.json.encode(model_object(model)), media_type="application/json")

    return [Route("/v1/models", list_models), Route("/v1/models/{model_id:path}", retrieve)]
