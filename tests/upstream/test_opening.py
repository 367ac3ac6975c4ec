"""A stream's connection is opened while its task is made, and it is asked for before anybody reads it."""

import asyncio
import datetime
import gc
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.errors import ServiceError, reason_name
from server.pool.account import TaskId
from server.pool.fence import Fence
from server.upstream.connections import Connections
from server.upstream.platform import NewTask, Opening, Platform
from tests.upstream.stand_in import SESSION, Handler, Recorder, in_turn, raw_upstream, read_request, says

TASK = TaskId("0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001")
CREATED = b'HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{"code": 0, "data": {"id":"t"}}'
EXPIRED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
NEW = NewTask(content="hi", model_id="m", system_prompt="")
MADE = says({"id": TASK})


class Front:
    """An upstream that counts connections. `closed` is how many streams have ended."""

    def __init__(self, create: Handler = MADE, stream: Handler | None = None) -> None:
        self.creates = Recorder(create)
        self.streams = Recorder(stream or self._stream)
        self.closed = 0
        self.tls: ssl.SSLContext | None = None
        self._app = web.Application()
        self._app.router.add_post("/api/v1/users/tasks", self._create)
        self._app.router.add_get("/api/v1/users/tasks/stream", self._open)
        self._app.router.add_get("/{path:.*}", says({"status": "processing", "id": TASK}))
        self._peers: set[object] = set()

    @property
    def connections(self) -> int:
        """How many brought a request."""
        return len(self._peers)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        return await self._counted(self.creates, request)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        return await self._counted(self.streams, request)

    async def _counted(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._peers.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("first")
        await socket.receive()
        self.closed += 1
        return socket

    @asynccontextmanager
    async def platform(self, **settings: str) -> AsyncIterator[Platform]:
        """Serve, and yield a Platform that speaks with this."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        scheme = "https" if self.tls is not None else "http"
        url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with Platform(url, image_id="i", host_id="h", **settings) as made:  # type: ignore[arg-type]
                yield made
        finally:
            await runner.cleanup()


async def soon(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


async def first_frame(opening: Opening) -> bytes:
    frames: list[bytes] = []
    async with opening as socket:
        await socket.each(lambda frame: frames.append(frame) or True)  # type: ignore[func-returns-value]
    return frames[0]


def certified(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return what a server on 127.0.0.1 shows, and the file that has it trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "cert.pem", folder / "key.pem"
    shown.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown, secret)
    return context, str(shown)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_stream_is_asked_for_before_anybody_waits_for_it(
    scheme: str, loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """Its connection was opened while the task was made; the platform answers while others are at work."""

    async def read(front: Front, trusted: str) -> None:
        async with front.platform(ca_file=trusted) as made:
            opening = made.stream(SESSION, await made.create_task(SESSION, NEW), "attach")
            await soon(opening.begin)
            await soon(lambda: bool(front.streams.asked))
            assert await first_frame(opening) == b"first"
            await soon(lambda: front.closed == 1)
            await made.create_task(SESSION, NEW)  # over the connection of the first

    front, trusted = Front(), ""
    if scheme == "https":
        front.tls, trusted = certified(tmp_path)
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(read(front, trusted))
    assert dict(front.streams.asked[0].query) == {"id": TASK, "mode": "attach"}
    assert front.connections == 2


async def test_a_stream_that_nobody_began_goes_over_the_connection_that_was_prepared() -> None:
    front = Front()
    async with front.platform() as made:
        assert (
            await first_frame(made.stream(SESSION, await made.create_task(SESSION, NEW), "attach"))
            == b"first"
        )
        assert await first_frame(made.stream(SESSION, TASK, "attach")) == b"first"  # over a new one
    assert front.connections == 3


async def test_a_task_that_takes_another_turn_has_its_connection_opened_too() -> None:
    front = Front()
    async with front.platform() as made:
        await made.task_of_turn(SESSION, TASK)
        opening = made.stream(SESSION, TASK, "new")
        await soon(opening.begin)  # it was prepared
        assert await first_frame(opening) == b"first"


async def test_a_create_that_fails_leaves_no_connection_behind() -> None:
    """Neither one that was opened by then nor one that was not."""
    there: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.add(writer)
        try:
            while True:
                await read_request(reader)
                await asyncio.sleep(0.05)
                writer.write(EXPIRED)
        finally:
            there.discard(writer)

    async with raw_upstream(talk) as url, Platform(url, image_id="i", host_id="h") as made:
        for _ in range(3):
            with pytest.raises(ServiceError):
                await made.create_task(SESSION, NEW)
        await soon(lambda: len(there) == 1)  # that of the creates
        assert not made.stream(SESSION, TASK, "attach").begin()


async def test_a_stream_that_was_begun_and_never_entered_is_closed() -> None:
    front = Front()
    async with front.platform() as made:
        opening = made.stream(SESSION, await made.create_task(SESSION, NEW), "attach")
        await soon(opening.begin)
        await soon(lambda: bool(front.streams.asked))
        await opening.close()
        await soon(lambda: front.closed == 1)


async def test_one_that_was_refused_and_never_entered_leaves_no_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    front = Front(stream=says(code=500, message="not yet"))
    async with front.platform() as made:
        opening = made.stream(SESSION, await made.create_task(SESSION, NEW), "attach")
        await soon(opening.begin)
        await soon(lambda: bool(front.streams.asked))
        await asyncio.sleep(0.1)
        await opening.close()
        del opening
        gc.collect()
    assert not caplog.records


async def test_one_that_was_begun_and_refused_is_asked_for_again() -> None:
    front = Front()
    front.streams = Recorder(in_turn(says(code=500, message="not yet"), front._stream))
    async with front.platform() as made:
        opening = made.stream(SESSION, await made.create_task(SESSION, NEW), "attach")
        await soon(opening.begin)
        assert await first_frame(opening) == b"first"
    assert len(front.streams.asked) == 2


async def test_nothing_is_begun_under_a_lease_that_is_lost() -> None:
    """P9."""
    front, fence = Front(), Fence()
    fence.until = time.monotonic() + 60
    session = replace(SESSION, fence=fence)
    async with front.platform() as made:
        opening = made.stream(session, await made.create_task(session, NEW), "attach")
        await asyncio.sleep(0.1)
        fence.fall()
        assert not opening.begin()
        with pytest.raises(ServiceError) as raised:
            await first_frame(opening)
    assert reason_name(raised.value.reason) == "LEASE_LOST"
    assert not front.streams.asked


async def test_a_connection_that_was_dropped_meanwhile_is_not_used() -> None:
    """Whoever waits too long for a request hangs up: the stream takes a new connection then."""
    there: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there.append(writer)
        if (await read_request(reader)).startswith(b"GET"):
            writer.write(EXPIRED)
            return
        await soon(lambda: len(there) == 2)
        for other in there:
            if other is not writer:
                other.close()
                await other.wait_closed()
        await asyncio.sleep(0.1)  # so that it is heard of
        writer.write(CREATED)

    async with raw_upstream(talk) as url, Platform(url, image_id="i", host_id="h") as made:
        opening = made.stream(SESSION, await made.create_task(SESSION, NEW), "attach")
        assert not opening.begin()
        with pytest.raises(ServiceError) as raised:
            await first_frame(opening)
    assert reason_name(raised.value.reason) == "SESSION_EXPIRED"
    assert len(there) == 3


async def test_a_connection_that_is_slow_to_open_holds_up_no_other(tmp_path: Path) -> None:
    """Two are prepared; of the first the platform's side never says a word of TLS."""
    shown, trusted = certified(tmp_path)
    silent: list[asyncio.StreamWriter] = []

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if silent:
            await writer.start_tls(shown)
        silent.append(writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tls = ssl.create_default_context(cafile=trusted)
    connections = Connections(f"https://127.0.0.1:{port}", tls, connect_timeout=60)
    connections.prepare()
    await soon(lambda: len(silent) == 1)
    connections.prepare()
    await soon(lambda: len(silent) == 2)
    async with asyncio.timeout(20):
        while (ready := connections.ready()) is None:
            await asyncio.sleep(0.005)
    assert ready.is_open
    ready.close()
    connections.close()
    for writer in silent:
        writer.close()
    server.close()
