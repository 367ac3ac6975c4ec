"""Uploads: the platform names an address, the bytes go there and nothing else (upstream-protocol §5.9)."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from server.errors import ServiceError, reason_name
from server.pool.account import Session
from server.pool.fence import Fence
from server.upstream.platform import Platform
from tests.upstream.stand_in import COOKIE, SESSION, Handler, Recorder, answers, in_turn, says, upstream

ACCESS = "/api/v1/assets?key=temp%2Fx_9a.png"


class Storage:
    """An object storage of its own, beside a platform that signs addresses to it."""

    def __init__(self, *replies: Handler) -> None:
        self._reply = in_turn(*(replies or (answers("", status=200),)))
        self.puts: list[tuple[web.Request, bytes]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.puts.append((request, await request.read()))
        return await self._reply(request)


@asynccontextmanager
async def platform_with(
    storage: Storage, path: str = "/bucket/k?sig=1", **settings: Any
) -> AsyncIterator[Platform]:
    """A platform whose uploads go to `path` on another origin."""
    async with (
        upstream(any=storage) as elsewhere,
        upstream(any=says({"upload_url": elsewhere + path, "access_url": ACCESS})) as url,
        Platform(url, connect_timeout=20.0, read_timeout=20.0, **settings) as made,
    ):
        yield made


async def refused(made: Platform, session: Session = SESSION) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await made.upload(session, "secret-name.png", b"bytes")
    assert COOKIE not in raised.value.message
    assert "sig=" not in raised.value.message
    return raised.value


async def test_the_bytes_go_to_the_address_and_nothing_else() -> None:
    storage, data = Storage(), bytes(range(256)) * 40_960  # 10 MiB
    async with platform_with(storage, basic_auth="ann:pass") as made:
        assert await made.upload(SESSION, "shot.png", data) == ACCESS
    ((request, body),) = storage.puts
    assert (request.method, body) == ("PUT", data)
    assert request.headers["Content-Length"] == str(len(data))
    for name in ("Content-Type", "Cookie", "Authorization", "Transfer-Encoding"):
        assert name not in request.headers, name


async def test_the_platform_is_asked_as_the_account() -> None:
    asked = Recorder(says({"upload_url": "http://127.0.0.1:1/x", "access_url": ACCESS}))
    async with upstream(any=asked) as url, Platform(url) as made:
        await refused(made)
    assert (asked.asked[0].path, asked.bodies[0]) == (
        "/api/v1/uploader/presign",
        {"filename": "secret-name.png"},
    )
    assert asked.asked[0].headers["Cookie"] == f"monkeycode_ai_session={COOKIE}"


async def test_a_signed_address_is_used_as_it_stands() -> None:
    """What a storage signed it compares byte by byte."""
    path = "/b/temp%2Fx%7E.png?X-Sig=a%2Fb%2B%3D&x=1%20y&z=a+b"
    storage = Storage()
    async with platform_with(storage, path) as made:
        await made.upload(SESSION, "shot.png", b"x")
    assert storage.puts[0][0].raw_path == path


async def test_a_proxys_password_goes_to_the_platforms_own_origin_alone() -> None:
    """A storage behind the same proxy needs it; one elsewhere must not see it."""
    storage = Storage()

    async def presign(request: web.Request) -> web.StreamResponse:
        address = f"http://{request.host}/objects/1"
        return await says({"upload_url": address, "access_url": ACCESS})(request)

    async with (
        upstream(POST_uploader_presign=presign, any=storage) as url,
        Platform(url, basic_auth="ann:pass") as made,
    ):
        await made.upload(SESSION, "shot.png", b"x")
    ((request, _),) = storage.puts
    assert request.headers["Authorization"] == "Basic YW5uOnBhc3M="
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(
    "reply",
    [says(status=404, code=404), answers('{"message":"Not Found"}', status=404), answers("", status=405)],
)
async def test_a_platform_without_storage(reply: Handler) -> None:
    async with upstream(any=reply) as url, Platform(url) as made:
        error = await refused(made)
    assert reason_name(error.reason) == "UNSUPPORTED_VALUE"
    assert "storage" in error.message


@pytest.mark.parametrize(
    "told",
    [
        {"upload_url": "file:///etc/passwd", "access_url": ACCESS},
        {"upload_url": "gopher://127.0.0.1/x", "access_url": ACCESS},
        {"upload_url": "/objects/1", "access_url": ACCESS},
        {"upload_url": "http://", "access_url": ACCESS},
        {"upload_url": "http://ann:pass@127.0.0.1/x", "access_url": ACCESS},
        {"upload_url": "http://[::1", "access_url": ACCESS},
        {"upload_url": "http://127.0.0.1:1/x", "access_url": " "},
        {"upload_url": "http://127.0.0.1:1/x"},
        {"upload_url": "http://127.0.0.1:1/" + "x" * 9000, "access_url": ACCESS},
        [],
    ],
)
async def test_addresses_that_cannot_be_meant(told: Any) -> None:
    """T-I8: only http and https, and nobody's password."""
    async with upstream(any=says(told)) as url, Platform(url) as made:
        assert reason_name((await refused(made)).reason) == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize(
    ("reply", "words", "puts"),
    [
        (answers("SignatureDoesNotMatch", status=403), "HTTP 403", 2),
        (answers("", status=503), "HTTP 503", 2),
        (answers("", status=302, Location="http://169.254.169.254/"), "HTTP 302", 2),
    ],
)
async def test_a_storage_that_does_not_take_it(reply: Handler, words: str, puts: int) -> None:
    """No redirect is followed; a second try may go well."""
    storage = Storage(reply)
    async with platform_with(storage) as made:
        error = await refused(made)
    assert (reason_name(error.reason), words in error.message) == ("UPSTREAM_ERROR", True), error
    assert len(storage.puts) == puts


async def test_a_second_try_may_go_well() -> None:
    async with platform_with(Storage(answers("", status=503), answers("", status=204))) as made:
        assert await made.upload(SESSION, "shot.png", b"x") == ACCESS


async def test_a_storage_that_is_not_there() -> None:
    presigned = says({"upload_url": "http://127.0.0.1:1/x?sig=1", "access_url": ACCESS})
    async with upstream(any=presigned) as url, Platform(url, connect_timeout=20.0) as made:
        error = await refused(made)
    assert reason_name(error.reason) == "UPSTREAM_ERROR"
    assert "127.0.0.1" in error.message


async def test_nothing_is_stored_once_the_lease_is_lost() -> None:
    """P9: the lease falls between the two steps."""
    fence, storage = Fence(), Storage()
    fence.until = time.monotonic() + 60

    async with upstream(any=storage) as elsewhere:

        async def presign(request: web.Request) -> web.StreamResponse:
            fence.fall()
            return await says({"upload_url": elsewhere, "access_url": ACCESS})(request)

        async with upstream(any=presign) as url, Platform(url) as made:
            error = await refused(made, replace(SESSION, fence=fence))
    assert reason_name(error.reason) == "LEASE_LOST"
    assert not storage.puts
