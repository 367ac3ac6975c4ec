"""GET /openapi.json: the reference of this API. GET /docs: the same for people."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from facade.reference import document, page


def reference_routes() -> list[BaseRoute]:
    """Return the routes; what they answer is made here, once."""
    made = document()
    told, drawn = msgspec.json.encode(made), page(made)

    async def reference(_: Request) -> Response:
        return Response(told, media_type="application/json")

    async def docs(_: Request) -> Response:
        return Response(drawn, media_type="text/html")

    return [Route("/openapi.json", reference), Route("/docs", docs)]
