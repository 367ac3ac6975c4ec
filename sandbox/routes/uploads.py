"""Uploads in two steps, and what was uploaded (protocol §5.9)."""

import uuid
from typing import Final

from aiohttp import hdrs, web

from sandbox.routes.caller import account_of, backend_of, body_of
from sandbox.routes.envelope import Failure, answer, bad_request
from sandbox.wire.body import BindError
from sandbox.world.storage import access_url, object_key

routes = web.RouteTableDef()
SIGNED: Final = web.AppKey("signed", dict[str, str])


@routes.post("/api/v1/uploader/presign")
async def presign(request: web.Request) -> web.Response:
    """Give an address to upload to, and the one to refer by."""
    account = account_of(request)
    try:
        filename = (await body_of(request)).text("filename")
    except BindError:
        raise bad_request() from None
    if not filename.strip():
        raise bad_request()
    key, signature = object_key(account, filename), uuid.uuid4().hex
    request.app[SIGNED][signature] = key
    return answer(
        {
            "upload_url": f"{request.scheme}://{request.host}/__objects/{signature}",
            "access_url": access_url(key),
        }
    )


@routes.put("/__objects/{signature}")
async def upload(request: web.Request) -> web.Response:
    """Take the bytes, as an object store does: the signature covers the absence of a content type."""
    key = request.app[SIGNED].get(request.match_info["signature"])
    if key is None or hdrs.CONTENT_TYPE in request.headers:
        return web.Response(status=403, text="SignatureDoesNotMatch")
    backend_of(request).storage.put(key, await request.read())
    return web.Response()


@routes.get("/api/v1/assets")
async def asset(request: web.Request) -> web.Response:
    """Return an object to anyone who is logged in."""
    account_of(request)
    data = backend_of(request).storage.get(request.query.get("key", ""))
    if data is None:
        raise Failure(10002)
    return web.Response(body=data, content_type="application/octet-stream")
