"""P9: what is sent under a lease that is lost reaches the platform in no part."""

import asyncio
import time
from dataclasses import replace

import pytest
from aiohttp import web
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.pool.fence import Fence
from server.upstream.platform import NewTask, Platform
from tests.upstream.stand_in import SESSION, Recorder, in_turn, platform, says

TASK = TaskId("0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001")
LOST = ErrorReason.ERROR_REASON_LEASE_LOST


@pytest.fixture
def fence() -> Fence:
    """Return the fence of a lease that is believed in."""
    fence = Fence()
    fence.until = time.monotonic() + 60
    return fence


@pytest.fixture
def session(fence: Fence) -> Session:
    """Return a session under that lease."""
    return replace(SESSION, fence=fence)


async def lost(work: object) -> None:
    with pytest.raises(ServiceError) as raised:
        await work  # type: ignore[misc]
    assert raised.value.reason == LOST


async def test_no_call_is_made_once_the_lease_is_lost(fence: Fence, session: Session) -> None:
    asked = Recorder(says({"id": TASK, "status": "processing", "tasks": [], "chunks": []}))
    async with platform(any=asked) as made:
        await made.task(session, TASK)
        assert len(asked.asked) == 1
        fence.until = time.monotonic()
        for work in (
            made.task(session, TASK),
            made.tasks(session, ["processing"]),
            made.stop_task(session, TASK),
            made.delete_task(session, TASK),
            made.rounds(session, TASK),
            _opened(made, session),
        ):
            await lost(work)
        await made.task(SESSION, TASK)  # without a lease there is no fence
        assert len(asked.asked) == 2


async def _opened(made: Platform, session: Session) -> None:
    async with made.stream(session, TASK, "attach"):
        raise AssertionError("opened")


async def test_a_lease_lost_between_two_calls_stops_the_second(fence: Fence, session: Session) -> None:
    """A create looks for a host and an image first, and is not sent when the lease was lost meanwhile."""

    async def slow(_: web.Request) -> web.Response:
        fence.until = time.monotonic()
        return web.json_response({"code": 0, "message": "", "data": {"images": [{"id": "i"}], "hosts": []}})

    created = Recorder(says({"id": TASK}))
    async with platform(POST_users_tasks=created, any=in_turn(slow)) as made:
        await lost(made.create_task(session, NewTask(content="hi", model_id="m", system_prompt="")))
    assert created.asked == []


async def test_a_socket_is_cut_when_the_lease_is_lost(fence: Fence, session: Session) -> None:
    """It is cut at that moment, without a close frame, and takes no frame any more."""
    heard, over = list[str](), asyncio.Event()

    async def listen(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            heard.append(message.data)
        heard.append(f"closed {socket.close_code}")
        over.set()
        return socket

    async with platform(GET_users_tasks_stream=listen) as made:
        async with made.stream(session, TASK, "attach") as socket:
            socket.send("before")
            while not heard:
                await asyncio.sleep(0.005)
            fence.until = time.monotonic()
            with pytest.raises(ServiceError) as refused:
                socket.send("after")
            assert refused.value.reason == LOST
            with pytest.raises(ServiceError) as raised:
                await socket.each(lambda _: False)
            assert raised.value.reason == ErrorReason.ERROR_REASON_UPSTREAM_LOST
        await over.wait()
    assert heard == ["before", "closed 1006"]


async def test_not_even_a_pong_is_sent(fence: Fence, session: Session) -> None:
    """A ping is answered only while the lease is believed in."""
    pinged, got = asyncio.Event(), list[object]()

    async def ping(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await pinged.wait()
        await socket.ping(b"there?")
        got.append((await socket.receive()).type.name)
        return socket

    async with platform(GET_users_tasks_stream=ping) as made, made.stream(session, TASK, "attach") as socket:
        fence.until = time.monotonic()
        pinged.set()
        with pytest.raises(ServiceError):
            await socket.each(lambda _: False)
        while not got:
            await asyncio.sleep(0.005)
    assert got in (["CLOSED"], ["CLOSING"], ["ERROR"])
    assert fence.fallen
