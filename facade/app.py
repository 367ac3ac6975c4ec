"""The facade as one ASGI application."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from facade.edge import Edge
from facade.errors import ApiError
from facade.routes.chat import chat_routes
from facade.routes.front import Front
from facade.routes.health import health_routes
from facade.routes.models import model_routes
from facade.routes.responses import responses_routes


def create_app(front: Front) -> ASGIApp:
    """Return the application; each of its errors is OpenAI's envelope."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for routes in (chat_routes, responses_routes, model_routes, health_routes):
        app.include_router(routes(front))
    app.add_exception_handler(ApiError, _tell)
    app.add_exception_handler(HTTPException, _tell_routing)
    return Edge(app)


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
