"""Stores files where the platform keeps its users' uploads (upstream-protocol §5.9).

The platform names the address of each; what is sent there is the bytes and nothing that is secret.
"""

import io
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from howler.error.v1.error_reason_pb2 import ErrorReason
from yarl import URL

from server.errors import ServiceError
from server.pool.account import Session
from server.pool.fence import Fence
from server.upstream.errors import Refusal
from server.upstream.http import Call, Http, twice
from server.upstream.shapes import object_in, text, wrong_shape

_E = ErrorReason
_SECONDS: Final = 60.0  # that the storage may take for a file
_ADDRESS_CHARS: Final = 8192
_NO_ROUTE: Final = (404, 405)

_fence: ContextVar[Fence | None] = ContextVar("fence of the upload under way", default=None)


class Uploads:
    """Uploads files.

    `agent` is the User-Agent that the storage is told. `own_headers` go with an upload to the platform's own
    origin alone: a proxy in front of it may want them.
    """

    def __init__(
        self,
        http: Http,
        base_url: str,
        agent: str,
        own_headers: Mapping[str, str],
        connect_timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._http = http
        self._origin = URL(base_url).origin()
        self._agent = agent
        self._own_headers = dict(own_headers)
        self._timeout = aiohttp.ClientTimeout(total=connect_timeout + _SECONDS, connect=connect_timeout)
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self._storage: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the client; needs a running loop."""
        self._storage = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._agent},
            skip_auto_headers=("Content-Type",),  # the address is signed for none (§5.9)
            timeout=self._timeout,
            trust_env=False,
            request_class=_Fenced,
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._storage is not None:
            await self._storage.close()
        self._storage = None

    async def upload(self, session: Session, filename: str, data: bytes) -> str:
        """Store a file as the account and return the address by which its prompts refer to it.

        A file of the same name is overwritten. Raises UNSUPPORTED_VALUE where the platform has no storage,
        UPSTREAM_ERROR where that does not take the file, LEASE_LOST, and what the platform refuses with.
        """
        upload_url, access_url = await self._addresses(session, filename)
        await twice(lambda: self._put(upload_url, data, session.fence))
        return access_url

    async def _addresses(self, session: Session, filename: str) -> tuple[URL, str]:
        """Ask where to upload to, and how to refer to it then."""
        call = Call(
            "POST",
            "/uploader/presign",
            session.cookie,
            body={"filename": filename},
            secrets=(filename,),
            fence=session.fence,
        )
        try:
            told = object_in(await self._http.repeatable(call), "addresses of an upload")
        except Refusal as refusal:
            if refusal.code not in _NO_ROUTE:
                raise
            raise ServiceError(
                _E.ERROR_REASON_UNSUPPORTED_VALUE,
                "the platform has no storage for attachments: it serves no /api/v1/uploader",
            ) from None
        access_url = text(told, "access_url")
        if not access_url.strip() or len(access_url) > _ADDRESS_CHARS:
            raise wrong_shape("access_url of an upload")
        return _checked(text(told, "upload_url")), access_url

    async def _put(self, url: URL, data: bytes, fence: Fence | None) -> None:
        assert self._storage is not None, "use the platform as a context"
        _fence.set(fence)
        headers = self._own_headers if url.origin() == self._origin else {}
        try:
            async with self._storage.put(
                url, data=io.BytesIO(data), headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise _not_stored(url, f"failed: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise _not_stored(url, f"answered HTTP {status}")


class _Fenced(aiohttp.ClientRequest):
    """A request whose fence is checked when its connection is there, right before it is written."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if (fence := _fence.get()) is not None:
            fence.check()
        return await super().send(conn)


def _checked(upload_url: str) -> URL:
    """Return an address of the platform's that may be written to. Raises UPSTREAM_PROTOCOL."""
    try:
        parts = urlsplit(upload_url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.username is None
        if usable and len(upload_url) <= _ADDRESS_CHARS:
            return URL(upload_url, encoded=True)  # as it stands: it is signed
    except ValueError:
        pass
    raise wrong_shape("upload_url")


def _not_stored(url: URL, how: str) -> ServiceError:
    """Name a failure of the storage, which is not the account's; the address itself is as good as a key."""
    return ServiceError(
        _E.ERROR_REASON_UPSTREAM_ERROR, f"the platform's storage at {url.host} took no attachment: it {how}"
    )
