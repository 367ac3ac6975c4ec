"""HTTP with the platform: sends a call, reads the reply whole, names every failure.

Each call carries the cookie that it is given and no other; there is no jar, no
redirect is followed, and no proxy of the environment is used.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import USER_COOKIE
from server.pool.fence import Fence
from server.upstream.errors import Undecided
from server.upstream.reply import Reply, open_reply

_E = ErrorReason
_T = TypeVar("_T")
API: Final = "/api/v1"
_REPLY_BYTES: Final = 16 << 20
_AGAIN_AFTER: Final = 0.2  # seconds between the two tries of a call that may be repeated
_KEPT: Final = 15.0  # seconds that a connection may be idle
_FRESH: Final = 2.0  # seconds that a connection may have been idle for a call that must not be made twice
_QUICK: Final = 5.0  # seconds; what failed later than that is not tried again
_PASSING: Final = (_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, _E.ERROR_REASON_UPSTREAM_ERROR)

fence_of_call: ContextVar[Fence | None] = ContextVar("fence of the call under way", default=None)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, `path` from /api/v1 on.

    `cookie` is the session's value, `secrets` what no error message may repeat. `fence` is checked right
    before every write.
    """

    method: str
    path: str
    cookie: str = field(default="", repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    cookie_name: str = USER_COOKIE
    fence: Fence | None = field(default=None, repr=False)


class Http:
    """The platform's HTTP surface. `connect_timeout` and `read_timeout` in seconds."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        connect_timeout: float,
        read_timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._base_url = base_url
        self._headers = dict(headers)
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self._timeout = aiohttp.ClientTimeout(
            total=connect_timeout + read_timeout, connect=connect_timeout, sock_read=read_timeout
        )
        self._read_timeout = read_timeout
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the client; needs a running loop."""
        self._kept = self._session(idle=_KEPT)
        self._fresh = self._session(idle=_FRESH)

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()
        self._kept = self._fresh = None

    def _session(self, *, idle: float) -> aiohttp.ClientSession:
        """Make a client that keeps connections which are idle for so many seconds."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=idle, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            trust_env=False,
            request_class=FencedRequest,
        )

    async def repeatable(self, call: Call) -> Any:
        """Make a call that does no harm when made twice; see `twice`. Raises as `once` does."""
        return await twice(lambda: self.once(call))

    async def once(self, call: Call) -> Any:
        """Make a call and return what the reply carries.

        Raises Refusal, Undecided, or a plain ServiceError (UPSTREAM_UNAVAILABLE,
        CONNECT_TIMEOUT, LEASE_LOST) when the request surely never reached the platform.
        """
        reply, _ = await self.exchange(call)
        return open_reply(reply, (call.cookie, *call.secrets))

    async def exchange(self, call: Call) -> tuple[Reply, Mapping[str, str]]:
        """Make a call and return its reply, unopened, and the cookies that it sets. Raises as `once` does."""
        assert self._kept is not None, "use the platform as a context"
        assert self._fresh is not None
        # An idle connection may be gone by the time it is used again, which looks like a lost answer.
        # aiohttp itself repeats what may be repeated; a POST takes one that was in use just now (no server
        # or proxy drops it so soon), or a new one.
        session = self._fresh if call.method == "POST" else self._kept
        fence_of_call.set(call.fence)
        try:
            async with session.request(
                call.method,
                self._base_url + API + call.path,
                params=dict(call.query),
                data=msgspec.json.encode(call.body) if call.body is not None else None,
                headers=_headers_of(call),
                allow_redirects=False,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                reply = Reply(response.status, await _read_whole(response), headers)
                return reply, {name: morsel.value for name, morsel in response.cookies.items()}
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ServiceError:
        """Name a failure of the connection; nothing is quoted that could hold a header."""
        match error:
            case aiohttp.ConnectionTimeoutError():
                return connect_timeout(self._timeout.connect)
            case aiohttp.ClientConnectorError():
                return unreachable(error.os_error)
            case TimeoutError():
                return Undecided(
                    _E.ERROR_REASON_UPSTREAM_UNAVAILABLE,
                    f"the platform did not answer in {self._read_timeout:g} s",
                )
            case aiohttp.ClientResponseError():
                return Undecided(
                    _E.ERROR_REASON_UPSTREAM_PROTOCOL, "the platform's answer could not be read as HTTP"
                )
            case _:
                return Undecided(
                    _E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the connection to the platform was lost"
                )


async def twice(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Return what the attempt returns; after a quick failure that may pass it is made once more (§1.4)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await attempt()
    except ServiceError as error:
        if error.reason not in _PASSING or loop.time() - began > _QUICK:
            raise
    await asyncio.sleep(_AGAIN_AFTER)
    return await attempt()


class FencedRequest(aiohttp.ClientRequest):
    """A request whose fence is checked when its connection is there, right before it is written."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if (fence := fence_of_call.get()) is not None:
            fence.check()
        return await super().send(conn)


def connect_timeout(seconds: float | None) -> ServiceError:
    """Return the failure of a connection that did not come about in time."""
    return ServiceError(
        _E.ERROR_REASON_CONNECT_TIMEOUT,
        f"no connection to the platform in {seconds:g} s (HOWLER_CONNECT_TIMEOUT)",
    )


def unreachable(error: OSError) -> ServiceError:
    """Return the failure of a connection that could not be made: nothing was sent."""
    if isinstance(error, ssl.SSLError):
        cause = f"TLS: {error.reason or type(error).__name__}"
    else:
        cause = error.strerror or type(error).__name__
    return ServiceError(_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, f"the platform cannot be reached: {cause}")


def _headers_of(call: Call) -> dict[str, str]:
    headers = {}
    if call.cookie:
        headers["Cookie"] = f"{call.cookie_name}={call.cookie}"
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    return headers


async def _read_whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > _REPLY_BYTES:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_PROTOCOL, f"the platform's answer is over {_REPLY_BYTES >> 20} MiB"
            )
    return bytes(body)
