"""GET /openapi.json: the reference of this API. GET /docs: the same for people, drawn by Swagger UI."""

import msgspec
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from facade.reference import document


def reference_routes() -> list[BaseRoute]:
    """Return the routes; what they answer is made here, once."""
    told = msgspec.json.encode(document())
    page = get_swagger_ui_html(openapi_url="openapi.json", title="Howler")

    async def reference(_: Request) -> Response:
        return Response(told, media_type="application/json")

    async def docs(_: Request) -> Response:
        return page

    return [Route("/openapi.json", reference), Route("/docs", docs)]
