"""What HTTP clients notice of the Relay: a stalled reader, a break, a server that goes and comes."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
import pytest
from howler.task.v1.start_turn_pb2 import StartTurn

from facade.backend.relay import Patience
from tests.support.facade import accepted, ended, serve_facade, started, text
from tests.support.facade_peer import MODEL, WINDOW, Peer, Script, serve_peer
from tests.support.openai_judge import judge_chat_stream
from tests.support.response_judge import judge_response_stream

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
PIECE = "~" * 200_000
PIECES = 150


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield


def body(path: str, prompt: str = "hi") -> dict[str, object]:
    asked = [{"role": "user", "content": prompt}]
    return {"model": MODEL.id, "messages" if path == CHAT else "input": asked, "stream": True}


async def said(http: httpx2.AsyncClient, prompt: str = "hi") -> str:
    return judge_chat_stream((await http.post(CHAT, json=body(CHAT, prompt))).content).content


def client(url: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits)


def script_of(start: StartTurn) -> Script:
    """A long answer for the prompt `long`, a short one for any other."""
    if start.prompt != "long" and start.messages.messages[-1].text != "long":
        return [[accepted(), started()], [text("short")], [ended()]]
    return [[accepted(), started()], *[[text(PIECE)]] * PIECES, [ended()]]


async def test_stalled_reader_delays_nobody_and_is_not_sent_to_past_its_credit() -> None:
    """Issue 3. Its socket's buffers hold some megabytes of the 30; the rest waits with the server."""
    peer = Peer(script_of=script_of)
    async with serve_peer(peer) as target, serve_facade(target) as url, client(url) as http:
        reader, writer = await stalled(url)
        while not peer.starts:
            await asyncio.sleep(0.01)
        (seat,) = peer.doors[0].seats.values()
        sent, still = -1, 0
        while still < 10 or seat.credit > 0:
            assert await said(http) == "short"
            still = still + 1 if seat.sent == sent else 0
            sent = seat.sent
        assert sent < PIECES, "it was sent all, though it read nothing"
        assert peer.relays == 1
        answer = await reader.read()
        writer.close()
        assert answer.count(b"~") == len(PIECE) * PIECES
        assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        granted = sum(request.grant.bytes for request in peer.of_kind("grant"))
        assert granted > len(PIECE) * PIECES - 2 * WINDOW


async def stalled(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for the long answer over a socket that takes little until it is read."""
    address = urlsplit(url)
    taking = socket.socket()
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    taking.setblocking(False)
    await asyncio.get_running_loop().sock_connect(taking, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=taking, limit=4096)
    asked = json.dumps(body(CHAT, "long")).encode()
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
        % (CHAT.encode(), len(asked), asked)
    )
    return reader, writer


async def test_clients_do_not_notice_a_relay_that_breaks() -> None:
    go_on = asyncio.Event()
    peer = Peer([[accepted(), started(), text("a")], go_on, [text("b")], [ended()]])
    async with serve_peer(peer) as target, serve_facade(target) as url, client(url) as http:
        chat = asyncio.create_task(http.post(CHAT, json=body(CHAT)))
        response = asyncio.create_task(http.post(RESPONSES, json=body(RESPONSES)))
        whole = asyncio.create_task(http.post(CHAT, json=body(CHAT) | {"stream": False}))
        while sum(len(turn.events) for turn in peer.turns.values()) < 9:
            await asyncio.sleep(0.01)
        await let_it_arrive(http, peer)
        peer.break_relays()
        while len(peer.of_kind("watch")) < 3:
            await asyncio.sleep(0.01)
        go_on.set()
        assert judge_chat_stream((await chat).content).content == "ab"
        assert judge_response_stream((await response).content).text == "ab"
        assert (await whole).json()["choices"][0]["message"]["content"] == "ab"
        assert peer.relays == 2


async def test_server_that_goes_and_comes_back() -> None:
    """Issue 3: each of 100 clients gets a proper terminal error, and the facade serves again."""
    peer = Peer([[accepted(), started(), text("half")], asyncio.Event()])
    async with contextlib.AsyncExitStack() as server, contextlib.AsyncExitStack() as front:
        target = await server.enter_async_context(serve_peer(peer))
        url = await front.enter_async_context(serve_facade(target, patience=Patience(start=20, resume=0.2)))
        http = await front.enter_async_context(client(url))
        paths = [CHAT, RESPONSES] * 50
        asked = [asyncio.create_task(http.post(path, json=body(path))) for path in paths]
        while len(peer.turns) < 100 or any(len(turn.events) < 3 for turn in peer.turns.values()):
            await asyncio.sleep(0.01)
        while len(peer.responses.kept) < 50:
            await asyncio.sleep(0.01)
        await let_it_arrive(http, peer)
        await server.aclose()
        for path, answer in zip(paths, await asyncio.gather(*asked), strict=True):
            assert answer.status_code == 200
            if path == CHAT:
                error = judge_chat_stream(answer.content).error
                assert error is not None
                assert error["code"] == "service_unavailable"
            else:
                assert judge_response_stream(answer.content).terminal == "response.failed"
        waits = asyncio.create_task(said(http))
        async with serve_peer(Peer(script_of=script_of), target):
            assert await waits == "short"
            assert await said(http) == "short"
            await front.aclose()


async def let_it_arrive(http: httpx2.AsyncClient, peer: Peer) -> None:
    """Return when the facade has what was told so far: frames come in order."""
    script, peer.script = peer.script, [[accepted(), started(), text("short")], [ended()]]
    assert await said(http) == "short"
    peer.script = script
