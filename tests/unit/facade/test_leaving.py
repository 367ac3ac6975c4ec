"""A caller who has left before the answer is begun: its turn is left all the same. Real sockets."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from howler.task.v1.start_turn_pb2 import StartTurn
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.app import Edge
from facade.backend import Backend
from facade.backend.relay import RunningTurn
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold
from facade.openai.presentation import Presentation
from facade.sse import Pace, TurnAnswer, TurnStream
from tests.support.facade import accepted, ended, served, text
from tests.support.facade_peer import Peer, serve_peer

ABOUT = "chatcmpl-1", 1_795_000_000, "m", Presentation()


ANSWERS = pytest.mark.parametrize(
    "answer",
    [
        lambda turn: TurnStream(turn, ChatStream(*ABOUT, include_usage=False), [], Pace()),
        lambda turn: TurnAnswer(turn, ChatFold(*ABOUT), []),
    ],
    ids=["stream", "whole"],
)


@ANSWERS
async def test_who_leaves_behind_a_large_body_leaves_the_turn(
    answer: Callable[[RunningTurn], ASGIApp],
) -> None:
    """uvicorn reads nothing more behind one that it had to wait with."""
    peer, asked = Peer([[accepted()], asyncio.Event()]), asyncio.Event()
    async with asyncio.timeout(60), serve_peer(peer) as target:
        backend = Backend(target)

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            asked.set()
            while (await receive()).get("more_body"):
                pass
            await answer(backend.start(StartTurn(prompt="hi")))(scope, receive, send)

        async with served(Edge(tell)) as url:
            address = urlsplit(url)
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n")
            await asked.wait()
            writer.write(bytes(200_000))
            while not peer.starts:
                await asyncio.sleep(0.01)
            writer.close()
            await peer.left.wait()
        await backend.close()


async def test_a_head_has_no_body() -> None:
    begun, over = asyncio.Event(), asyncio.Event()
    peer = Peer([[accepted(), text("a")], begun, [text("b")], over, [ended()]])
    async with asyncio.timeout(60), serve_peer(peer) as target:
        backend = Backend(target)

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            turn = backend.start(StartTurn(prompt="hi"))
            await TurnStream(turn, ChatStream(*ABOUT, include_usage=False), [], Pace())(scope, receive, send)

        async with served(Edge(tell)) as url:
            address = urlsplit(url)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            begun.set()
            await asyncio.sleep(0.1)  # it would come at once, and nothing else comes
            over.set()
            body = await reader.read()
            writer.close()
        await backend.close()
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""


@ANSWERS
async def test_who_left_before_leaves_the_turn(answer: Callable[[RunningTurn], ASGIApp]) -> None:
    """P3.2: as where something is kept before the answer is begun."""
    peer, asked = Peer([[accepted()], asyncio.Event()]), asyncio.Event()
    async with asyncio.timeout(60), serve_peer(peer) as target:
        backend = Backend(target)

        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            turn = backend.start(StartTurn(prompt="hi"))
            asked.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            await answer(turn)(scope, receive, send)

        async with served(Edge(tell)) as url:
            address = urlsplit(url)
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            await asked.wait()
            while not peer.starts:
                await asyncio.sleep(0.01)
            writer.close()
            await peer.left.wait()
        await backend.close()
