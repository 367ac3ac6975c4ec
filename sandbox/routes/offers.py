"""Lists of models, images and hosts (protocol §3.1, §4)."""

from collections.abc import Sequence
from typing import TypeVar

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, number_of
from sandbox.routes.envelope import Failure, answer
from sandbox.world import catalog
from sandbox.world.catalog import HOSTS, IMAGES, Image, Model, cursor, read_cursor
from sandbox.world.lifecycle import now

routes = web.RouteTableDef()
_LIMIT = 100
_Row = TypeVar("_Row", Model, Image)


@routes.get("/api/v1/users/models")
async def models(request: web.Request) -> web.Response:
    """List models: a page of own and team ones, and every public one in front of each page."""
    listed = catalog.models(account_of(request))
    shared = sorted((one for one in listed if one.owner == "public"), key=lambda one: -one.created_at)
    page, more = _page(request, [one for one in listed if one.owner != "public"])
    return answer({"models": [one.full() for one in (*shared, *page)], "page": more})


@routes.get("/api/v1/users/images")
async def images(request: web.Request) -> web.Response:
    """List images."""
    account_of(request)
    page, more = _page(request, IMAGES)
    return answer({"images": [one.fields() for one in page], "page": more})


@routes.get("/api/v1/users/hosts")
async def hosts(request: web.Request) -> web.Response:
    """List hosts: one's own, and the public ones under masked ids."""
    account_of(request)
    shown = [
        one.fields()
        for one in HOSTS
        if one.owner == "private" or not backend_of(request).faults.platform.no_public_host
    ]
    return answer({"hosts": shown or None})


@routes.get("/api/v1/users/hosts/vms/{id}")
async def machine(request: web.Request) -> web.Response:
    """Return one VM of the caller."""
    account, backend = account_of(request), backend_of(request)
    for task in backend.tasks.of(account, ()):
        if task.machine and task.machine.id == request.match_info["id"]:
            return answer(task.machine.fields(now()))
    raise Failure(500)


def _page(request: web.Request, rows: Sequence[_Row]) -> tuple[list[_Row], dict[str, object]]:
    """Cut a page, newest first; a bad cursor is code 10004."""
    limit = number_of(request, "limit", _LIMIT)
    ordered = sorted(rows, key=lambda row: (-row.created_at, row.id))
    after = request.query.get("cursor", "")
    if after:
        try:
            at, row_id = read_cursor(after)
        except ValueError:
            raise Failure(10004) from None
        ordered = [row for row in ordered if (-row.created_at, row.id) > (-at, row_id)]
    page = ordered[: limit if limit > 0 else _LIMIT]
    more: dict[str, object] = {"has_next_page": len(page) < len(ordered)}
    if page:
        more = {"cursor": cursor(page[-1].created_at, page[-1].id)} | more
    return page, more
