"""A proxy in front of the facade that passes everything on as it is and remembers what was asked."""

import asyncio
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

_MODEL_REQUESTS: Final = ("/v1/chat/completions", "/v1/responses", "/v1/completions")
_HOP: Final = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass(frozen=True)
class Asked:
    """One request and the status of its answer."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int


class Recorder:
    """`async with Recorder(facade.address) as recorder: recorder.url`; `requests` holds what was asked.

    `frames` are those that were sent over WebSockets. One answer is cut behind the event that tells
    `cut_behind`.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self.requests: list[Asked] = []
        self.frames: list[dict[str, Any]] = []
        self.cut_behind = b""
        self.url = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(self._target, auto_decompress=False)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    @property
    def model_requests(self) -> list[Asked]:
        """The requests that asked a model for something."""
        return [asked for asked in self.requests if asked.method == "POST" and asked.path in _MODEL_REQUESTS]

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._pass_on_socket(request)
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with self._session.request(
            request.method, request.path_qs, headers=headers, data=body, allow_redirects=False
        ) as answer:
            self.requests.append(Asked(request.method, request.path, headers, body, answer.status))
            told: dict[str, Any] = {
                name: value for name, value in answer.headers.items() if name.lower() not in _HOP
            }
            response = web.StreamResponse(status=answer.status, headers=told)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                if self.cut_behind and self.cut_behind in piece and request.transport is not None:
                    before, at, behind = piece.partition(self.cut_behind)
                    await response.write(b"%b%b%b\n\n" % (before, at, behind.partition(b"\n\n")[0]))
                    self.cut_behind = b""
                    request.transport.abort()
                    return response
                await response.write(piece)
            await response.write_eof()
            return response

    async def _pass_on_socket(self, request: web.Request) -> web.StreamResponse:
        own = ("sec-websocket-", "upgrade")
        headers = {n: v for n, v in request.headers.items() if n.lower() not in _HOP}
        headers = {name: value for name, value in headers.items() if not name.lower().startswith(own)}
        try:
            behind = await self._session.ws_connect(request.path_qs, headers=headers, max_msg_size=0)
        except aiohttp.WSServerHandshakeError as refused:
            self.requests.append(Asked(request.method, request.path, headers, b"", refused.status))
            return web.Response(status=refused.status)
        self.requests.append(Asked(request.method, request.path, headers, b"", 101))
        front = web.WebSocketResponse(max_msg_size=0)
        await front.prepare(request)

        async def tell() -> None:
            async for message in behind:
                await front.send_str(message.data)
            await front.close()

        telling = asyncio.create_task(tell())
        async for message in front:
            self.frames.append(json.loads(message.data))
            await behind.send_str(message.data)
        await behind.close()
        await telling
        return front
