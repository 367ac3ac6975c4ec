"""The stream's socket: opened, refused, lost (upstream-protocol §6.1, §6.10)."""

import asyncio

import pytest
from aiohttp import WSCloseCode, web

from server.errors import ServiceError, reason_name
from server.pool.account import TaskId
from server.upstream.headers import VERSION
from server.upstream.platform import Platform
from server.upstream.socket import Socket
from tests.upstream.stand_in import (
    COOKIE,
    SESSION,
    Handler,
    Recorder,
    answers,
    hang_up,
    in_turn,
    platform,
    raw_upstream,
    read_request,
    says,
    speak_gibberish,
    upstream,
)

TASK = TaskId("0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001")
PING = '{"type":"ping","data":null,"kind":"","timestamp":0}'


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Answer each frame with itself, a text with bytes and the other way round."""
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data.encode())
        await socket.send_str(message.data)
    return socket


async def refused(made: Platform) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        async with made.stream(SESSION, TASK, "attach"):
            raise AssertionError("opened")
    return raised.value


async def received(socket: Socket) -> bytes:
    """Return the next frame."""
    frames: list[bytes] = []
    await socket.each(lambda frame: frames.append(frame) or True)  # type: ignore[func-returns-value]
    return frames[0]


async def read_to_the_end(socket: Socket) -> None:
    await socket.each(lambda _: False)


async def test_frames_go_both_ways_text_or_binary() -> None:
    asked = Recorder(echo)
    async with platform(GET_users_tasks_stream=asked) as made, made.stream(SESSION, TASK, "new") as socket:
        socket.send(PING)
        assert [await received(socket), await received(socket)] == [PING.encode(), PING.encode()]
    request = asked.asked[0]
    assert dict(request.query) == {"id": TASK, "mode": "new"}
    assert request.headers["Cookie"] == f"monkeycode_ai_session={COOKIE}"
    assert request.headers["User-Agent"] == f"howler/{VERSION}"
    assert "Sec-WebSocket-Extensions" not in request.headers
    assert "Sec-WebSocket-Protocol" not in request.headers


async def test_basic_auth_goes_with_the_handshake() -> None:
    asked = Recorder(echo)
    async with (
        upstream(any=asked) as url,
        Platform(url, basic_auth="ann:pass") as made,
        made.stream(SESSION, TASK, "attach"),
    ):
        pass
    assert asked.asked[0].headers["Authorization"] == "Basic YW5uOnBhc3M="


async def test_a_frame_of_any_size_arrives() -> None:
    """The platform has no limit toward us (§6.1)."""
    size = 20 << 20

    async def big(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("x" * size)
        await socket.receive()
        return socket

    async with platform(any=big) as made, made.stream(SESSION, TASK, "attach") as socket:
        assert len(await received(socket)) == size


async def test_bytes_that_are_no_text_do_not_end_the_stream() -> None:
    async def odd(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_frame(b'{"type":"\xff"}', 1)  # type: ignore[arg-type]
        await socket.send_str(PING)
        await socket.receive()
        return socket

    async with platform(any=odd) as made, made.stream(SESSION, TASK, "attach") as socket:
        assert await received(socket) == b'{"type":"\xff"}'
        assert await received(socket) == PING.encode()


@pytest.mark.parametrize(
    ("reply", "reason", "calls"),
    [
        (says(code=500, message="err-internal"), "TASK_NOT_FOUND", 2),
        (says(code=10002, message="gone"), "TASK_NOT_FOUND", 1),
        (answers("Unauthorized", status=401, kind="text/plain"), "SESSION_EXPIRED", 1),
        (says(code=400, message="bad id", status=400), "UPSTREAM_REJECTED", 1),
        (answers("<html>", status=502), "UPSTREAM_UNAVAILABLE", 2),
        (answers("<html>", status=503), "UPSTREAM_UNAVAILABLE", 2),
        (answers("<html>", status=504), "UPSTREAM_UNAVAILABLE", 2),
        (answers("<html>"), "UPSTREAM_PROTOCOL", 1),
        (says(), "UPSTREAM_PROTOCOL", 1),
        (answers("", status=302, Location="/elsewhere"), "UPSTREAM_PROTOCOL", 1),
    ],
)
async def test_http_in_place_of_a_socket(reply: Handler, reason: str, calls: int) -> None:
    """§6.1: the refusal may be an HTTP 200."""
    asked = Recorder(reply)
    async with platform(any=asked) as made:
        error = await refused(made)
    assert reason_name(error.reason) == reason
    assert len(asked.asked) == calls
    assert COOKIE not in error.message


async def test_a_second_try_may_open_it() -> None:
    replies = in_turn(says(code=500, message="not yet"), echo)
    async with platform(any=replies) as made, made.stream(SESSION, TASK, "attach") as socket:
        socket.send(PING)
        assert await received(socket) == PING.encode()


async def test_what_happens_inside_is_not_tried_again() -> None:
    asked = Recorder(echo)

    async def use(made: Platform) -> None:
        async with made.stream(SESSION, TASK, "attach") as socket:
            socket.close()
            await received(socket)

    async with platform(any=asked) as made:
        with pytest.raises(ServiceError) as raised:
            await use(made)
    assert reason_name(raised.value.reason) == "UPSTREAM_LOST"
    assert len(asked.asked) == 1


@pytest.mark.parametrize(
    ("code", "words"), [(WSCloseCode.OK, "code 1000"), (WSCloseCode.MESSAGE_TOO_BIG, "code 1009")]
)
async def test_a_socket_that_the_platform_closes(code: WSCloseCode, words: str) -> None:
    """A normal close is a loss too: the platform never closes first when a turn ends (§6.10)."""

    async def closing(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=code, message=b"some payload")
        return socket

    async with platform(any=closing) as made, made.stream(SESSION, TASK, "attach") as socket:
        with pytest.raises(ServiceError) as read:
            await read_to_the_end(socket)
        with pytest.raises(ServiceError) as written:
            socket.send(PING)
        for raised in (read, written):
            assert reason_name(raised.value.reason) == "UPSTREAM_LOST"
            assert words in raised.value.message
            assert "payload" not in raised.value.message


async def test_a_socket_that_breaks() -> None:
    async def breaking(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(PING)
        assert request.transport is not None
        request.transport.abort()
        return socket

    async with platform(any=breaking) as made, made.stream(SESSION, TASK, "attach") as socket:
        with pytest.raises(ServiceError) as raised:
            await read_to_the_end(socket)
    assert reason_name(raised.value.reason) == "UPSTREAM_LOST"


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: nonsense\r\n\r\n"
    )
    await writer.drain()


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (hang, "CONNECT_TIMEOUT"),
        (hang_up, "UPSTREAM_UNAVAILABLE"),
        (speak_gibberish, "UPSTREAM_PROTOCOL"),
        (lie, "UPSTREAM_PROTOCOL"),
    ],
)
async def test_handshakes_that_fail(talk: object, reason: str) -> None:
    """P3.1: a connection that does not come about is a failure."""
    patience = 0.3 if talk is hang else 20.0
    async with raw_upstream(talk) as url, Platform(url, connect_timeout=patience) as made:  # type: ignore[arg-type]
        assert reason_name((await refused(made)).reason) == reason


async def test_nobody_there() -> None:
    async with upstream() as url:
        pass
    async with Platform(url) as made:
        assert reason_name((await refused(made)).reason) == "UPSTREAM_UNAVAILABLE"
