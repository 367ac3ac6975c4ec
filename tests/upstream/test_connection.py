"""HTTP/1.1 with the platform: how replies end, how they are coded, when a connection is kept."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server.errors import ServiceError, reason_name
from server.upstream.platform import Platform
from tests.upstream.stand_in import SESSION, raw_upstream, read_request

JSON = json.dumps({"code": 0, "message": "", "data": {"models": []}}).encode()
RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
BARE_DEFLATE = RAW.compress(JSON) + RAW.flush()
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


def reply(body: bytes, *headers: str, length: bool = True) -> bytes:
    """Spell a reply."""
    lines = ["HTTP/1.1 200 OK", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    """Spell a body in two chunks."""
    return b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (3, body[:3], len(body) - 3, body[3:])


class Peer:
    """Answers the requests of a connection with its replies, one by one; counts connections."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = replies
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        for answer in self._replies:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()


@asynccontextmanager
async def before(peer: Talk) -> AsyncIterator[Platform]:
    async with raw_upstream(peer) as url, Platform(url, read_timeout=2.0) as made:  # type: ignore[arg-type]
        yield made


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(JSON), id="length"),
        pytest.param(reply(JSON, length=False), id="ends with the connection"),
        pytest.param(reply(chunked(JSON), "Transfer-Encoding: chunked", length=False), id="chunks"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + reply(JSON), id="behind an interim reply"),
        pytest.param(reply(gzip.compress(JSON), "Content-Encoding: gzip"), id="gzip"),
        pytest.param(reply(zlib.compress(JSON), "Content-Encoding: deflate"), id="deflate"),
        pytest.param(reply(BARE_DEFLATE, "Content-Encoding: deflate"), id="deflate without zlib"),
        pytest.param(reply(JSON, "Content-Encoding: identity"), id="identity"),
    ],
)
async def test_a_reply_is_read_however_it_is_framed(answer: bytes) -> None:
    async with before(Peer(answer)) as made:
        assert await made.models(SESSION) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(reply(JSON, "Content-Encoding: br"), "UPSTREAM_PROTOCOL", id="a coding not asked for"),
        pytest.param(reply(JSON, "Content-Encoding: gzip"), "UPSTREAM_PROTOCOL", id="no gzip"),
        pytest.param(
            reply(gzip.compress(JSON)[:-9], "Content-Encoding: gzip"),
            "UPSTREAM_PROTOCOL",
            id="half of a gzip",
        ),
        pytest.param(
            reply(gzip.compress(bytes(20 << 20)), "Content-Encoding: gzip"), "UPSTREAM_PROTOCOL", id="a bomb"
        ),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
            "UPSTREAM_PROTOCOL",
            id="an upgrade",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "UPSTREAM_UNAVAILABLE", id="half of a head"),
        pytest.param(reply(JSON)[:-1], "UPSTREAM_UNAVAILABLE", id="a byte too few"),
    ],
)
async def test_a_reply_that_is_none(answer: bytes, reason: str) -> None:
    async with before(Peer(answer)) as made:
        with pytest.raises(ServiceError) as raised:
            await made.models(SESSION)
    assert reason_name(raised.value.reason) == reason


async def test_a_connection_serves_one_call_after_the_other() -> None:
    peer = Peer(*[reply(JSON)] * 3)
    async with before(peer) as made:
        for _ in range(3):
            await made.models(SESSION)
    assert peer.connections == 1


async def test_calls_at_once_have_connections_of_their_own() -> None:
    peer = Peer(*[reply(JSON)] * 8)
    async with before(peer) as made:
        for _ in range(2):
            await asyncio.gather(*(made.models(SESSION) for _ in range(4)))
    assert peer.connections == 4


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(reply(JSON, "Connection: close"), id="the platform says so"),
        pytest.param(reply(JSON) + b"HTTP/1.1 200 OK\r\n\r\n", id="more came than was asked for"),
    ],
)
async def test_a_connection_is_not_kept(last: bytes) -> None:
    peer = Peer(last, reply(JSON))
    async with before(peer) as made:
        for _ in range(2):
            await made.models(SESSION)
    assert peer.connections == 2


async def test_a_call_over_a_connection_that_dies_is_made_over_the_next() -> None:
    """It was kept a moment too long; a call that may be made twice does not fail for that."""
    heard = list[int]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(heard)
        heard.append(0)
        for _ in range(2):
            await read_request(reader)
            heard[number] += 1
            if heard[0] == 2 and number == 0:
                return  # without a byte of an answer
            writer.write(reply(JSON))
            await writer.drain()

    async with before(talk) as made:
        await made.models(SESSION)
        await made.models(SESSION)
    assert heard == [2, 1]


async def test_a_call_that_is_cut_off_leaves_no_connection_behind() -> None:
    """Its answer would be taken for that of the next call."""
    asked = asyncio.Event()
    peers = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal peers
        peers += 1
        await read_request(reader)
        if peers == 1:
            asked.set()
            await reader.read()  # until the caller hangs up
        writer.write(reply(JSON))
        await writer.drain()

    async with before(talk) as made:
        call = asyncio.create_task(made.models(SESSION))
        await asked.wait()
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()
        assert await made.models(SESSION) == []
    assert peers == 2
