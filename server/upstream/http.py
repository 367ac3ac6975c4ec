"""HTTP with the platform: sends a call, reads the reply whole, names every failure.

Each call carries the cookie that it is given and no other; there is no jar, no
redirect is followed, and no proxy of the environment is used.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import USER_COOKIE
from server.pool.fence import Fence
from server.upstream.connection import REPLY_BYTES, Lost, TooLong, Unreadable
from server.upstream.connections import Connections
from server.upstream.errors import Undecided
from server.upstream.reply import Reply, open_reply

_E = ErrorReason
_T = TypeVar("_T")
API: Final = "/api/v1"
_AGAIN_AFTER: Final = 0.2  # seconds between the two tries of a call that may be repeated
_FRESH: Final = 2.0  # seconds that a connection may have been idle for a call that must not be made twice
_QUICK: Final = 5.0  # seconds; what failed later than that is not tried again
_PASSING: Final = (_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, _E.ERROR_REASON_UPSTREAM_ERROR)

_CODINGS: Final = {"Accept-Encoding": "gzip, deflate"}


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
    """The platform's HTTP surface. `read_timeout` in seconds."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], connections: Connections, read_timeout: float
    ) -> None:
        self._path = urlsplit(base_url).path + API
        lines = {"Host": connections.host, **_CODINGS, **headers}
        self._head = " HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._read_timeout = read_timeout
        self._connections = connections

    async def repeatable(self, call: Call) -> Any:
        """Make a call that does no harm when made twice; see `twice`. Raises as `once` does."""
        return await twice(lambda: self.once(call))

    async def once(self, call: Call) -> Any:
        """Make a call and return what the reply carries.

        Raises Refusal, Undecided, or a plain ServiceError (UPSTREAM_UNAVAILABLE,
        CONNECT_TIMEOUT, LEASE_LOST) when the request surely never reached the platform.
        """
        return open_reply(await self.exchange(call), (call.cookie, *call.secrets))

    async def exchange(self, call: Call) -> Reply:
        """Make a call and return its reply, unopened. Raises as `once` does."""
        request = self._spelled(call)
        try:
            return await self._exchange(call, request)
        except TimeoutError:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_UNAVAILABLE,
                f"the platform did not answer in {self._read_timeout:g} s",
            ) from None
        except Lost:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the connection to the platform was lost"
            ) from None
        except Unreadable:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_PROTOCOL, "the platform's answer could not be read as HTTP"
            ) from None
        except TooLong:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_PROTOCOL, f"the platform's answer is over {REPLY_BYTES >> 20} MiB"
            ) from None

    async def _exchange(self, call: Call, request: bytes) -> Reply:
        """Send a request over a connection that is kept, or a new one.

        An idle connection may be gone by the time it is used again, which looks like a lost answer. A call
        that may be made twice is made over the next one then; a POST takes only one that was in use just now
        (no server or proxy drops it so soon).
        """
        within = {"within": _FRESH} if call.method == "POST" else {}
        while True:
            connection = self._connections.kept(**within)
            is_new = connection is None
            if connection is None:
                connection = await self._connections.new()
            try:
                if call.fence is not None:
                    call.fence.check()
                return await connection.exchange(request, self._read_timeout)
            except Lost as lost:
                if is_new or call.method == "POST" or not lost.unheard:
                    raise
            finally:
                self._connections.give_back(connection)

    def _spelled(self, call: Call) -> bytes:
        """Spell a request (RFC 9112 §3). Raises ValueError for what would break out of its place."""
        query = "?" + urlencode(call.query) if call.query else ""
        lines = [f"{call.method} {self._path}{call.path}{query}", self._head]
        if call.cookie:
            lines.append(f"Cookie: {call.cookie_name}={_checked(call.cookie)}\r\n")
        if call.body is None:
            length = "" if call.method == "GET" else "Content-Length: 0\r\n"
            return "".join((*lines, length, "\r\n")).encode("latin-1")
        body = msgspec.json.encode(call.body)
        lines.append(f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        return "".join(lines).encode("latin-1") + body


def _checked(value: str) -> str:
    """Return what may stand in a header. Raises ValueError."""
    if not value.isprintable():
        raise ValueError("a cookie with a control character in it")
    return value


def cookies_of(reply: Reply) -> dict[str, str]:
    """Return the cookies that a reply sets, but for those that cannot be read."""
    jar: SimpleCookie = SimpleCookie()
    for line in reply.set_cookies:
        try:
            jar.load(line)
        except CookieError:
            continue
    return {name: morsel.value for name, morsel in jar.items()}


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
