"""HTTP/1.1 by itself: what a caller may send, and what becomes of answers that go wrong. Real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.facade import served

HEADERS = [(b"content-type", b"text/plain")]


async def body_of(receive: Receive) -> bytes:
    whole, more = b"", True
    while more:
        message = await receive()
        whole += message.get("body", b"")
        more = message.get("more_body", False)
    return whole


def start(status: int = 200, headers: list[tuple[bytes, bytes]] = HEADERS) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(told: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": told, "more_body": more}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the target, the number of headers, and the body, in two pieces."""
    said = await body_of(receive)
    await send(start())
    await send(body(b"%b?%b " % (scope["path"].encode(), scope["query_string"]), more=True))
    await send(body(b"%d %b" % (len(scope["headers"]), said)))


@contextlib.asynccontextmanager
async def caller_of(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(60), served(app) as url:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        yield reader, writer
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one chunked answer: its head and its body."""
    head, told = await reader.readuntil(b"\r\n\r\n"), b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        told += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return head, told


async def test_requests_are_answered_in_order_whether_they_wait_or_not() -> None:
    async with caller_of(echo) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /a%20b?x=1 HTTP/1.1\r\nhost: x\r\n\r\n")
            writer.write(b"POST /c HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nyes" * 2)
            told = [await answer(reader) for _ in range(3)]
            assert [said for _, said in told] == [b"/a b?x=1 1 ", b"/c? 2 yes", b"/c? 2 yes"]
            assert all(head.startswith(b"HTTP/1.1 200 OK\r\ndate: ") for head, _ in told)


async def test_trailers_are_not_the_next_requests_headers() -> None:
    chunked = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-after: 1\r\n\r\n"
    async with caller_of(echo) as (reader, writer):
        writer.write(chunked)
        assert (await answer(reader))[1].endswith(b"hi")
        writer.write(b"GET /b HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[1] == b"/b? 0 "


async def test_a_body_is_asked_for_where_the_caller_waits_for_that() -> None:
    async with caller_of(echo) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\nExpect: 100-Continue\r\ncontent-length: 4\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"on")
        await asyncio.sleep(0.05)  # else the two pieces may come as one
        writer.write(b"ce")
        head, told = await answer(reader)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert told == b"/a? 2 once"


@pytest.mark.parametrize(
    "request_",
    [b"GET /a HTTP/1.0\r\n\r\n", b"GET /a HTTP/1.1\r\nconnection: close\r\n\r\n"],
)
async def test_the_connection_is_closed_where_the_caller_wants_no_other(request_: bytes) -> None:
    async with caller_of(echo) as (reader, writer):
        writer.write(request_)
        head, _ = await answer(reader)
        assert b"\r\nconnection: close\r\n" in head
        assert await reader.read() == b""


async def test_another_upgrade_than_to_websocket_is_passed_over() -> None:
    async with caller_of(echo) as (reader, writer):
        writer.write(b"GET /a HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        assert (await answer(reader))[1] == b"/a? 2 "


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\r\n\r\n", b"GET http:// HTTP/1.1\r\n\r\n"])
async def test_what_is_no_request_is_refused(sent: bytes) -> None:
    async with caller_of(echo) as (reader, writer):
        writer.write(sent)
        told = await reader.read()
    assert told.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert told.endswith(b"\r\n\r\nInvalid HTTP request received.")


async def test_what_is_left_of_a_body_is_no_request() -> None:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await send(start(413))
            await send(body(b"too large"))
        else:
            await echo(scope, receive, send)

    async with caller_of(refuse) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\ncontent-length: 100000\r\n\r\n" + bytes(50_000))
        assert (await answer(reader))[1] == b"too large"
        writer.write(bytes(50_000) + b"GET /b HTTP/1.1\r\n\r\n")
        assert (await answer(reader))[1] == b"/b? 0 "


async def test_a_large_body_and_a_large_answer_wait_for_their_readers() -> None:
    async def tell_back(_: Scope, receive: Receive, send: Send) -> None:
        said = await body_of(receive)
        await send(start(200, [(b"content-length", b"%d" % len(said))]))
        for at in range(0, len(said), 1_000_000):
            await send(body(said[at : at + 1_000_000], more=True))
        await send(body(b""))

    said = bytes(range(256)) * 40_000
    async with caller_of(tell_back) as (reader, writer):
        writer.write(b"POST /a HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(said))
        writer.write(said)
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(said)) == said


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], b"HTTP/1.1 500 Internal Server Error\r\n"),
        ([body(b"no head")], b"HTTP/1.1 500 Internal Server Error\r\n"),
        ([start(200, [(b"x-a", b"1\r\nx-b: 2")])], b"HTTP/1.1 500 Internal Server Error\r\n"),
        ([start(), body(b"abc", more=True)], b"HTTP/1.1 200 OK\r\n"),
        ([start(200, [(b"content-length", b"9")]), body(b"abc")], b"HTTP/1.1 200 OK\r\n"),
    ],
    ids=["nothing", "no head", "two headers in one", "no end", "too short"],
)
async def test_an_answer_that_goes_wrong_ends_the_connection(messages: list[Message], told: bytes) -> None:
    async def tell(_: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    async with caller_of(tell) as (reader, writer):
        writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        raw = await reader.read()
    assert raw.startswith(told)
    assert not raw.endswith(b"0\r\n\r\n")


async def test_who_leaves_is_heard_of_where_he_is_answered() -> None:
    heard: list[str] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await body_of(receive)
        heard.append((await receive())["type"])
        await send(start())  # nobody is there to be told
        await send(body(b"late"))

    async with caller_of(wait) as (_, writer):
        writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.close()
        while not heard:
            await asyncio.sleep(0.01)
    assert heard == ["http.disconnect"]
