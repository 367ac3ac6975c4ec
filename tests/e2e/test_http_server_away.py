"""The facade while its server is not there: before it starts, when it dies in mid-stream, and after."""

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.front import CHAT, RESPONSES, Front, chat_body, response_body, told
from tests.support.openai_judge import judge_chat_stream
from tests.support.process import ROOT, Program
from tests.support.response_judge import judge_response_stream
from tests.support.sandbox import Sandbox


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


class Parts:
    """A facade, and a server that comes and goes at the address that the facade knows."""

    def __init__(self, directory: Path, stack: AsyncExitStack, upstream: str) -> None:
        self._directory = directory
        self._stack = stack
        self._env = {
            "HOWLER_GRPC_ADDR": free_address(),
            "HOWLER_HTTP_ADDR": "127.0.0.1:0",
            "HOWLER_UPSTREAM_URL": upstream,
            "HOWLER_ACCOUNTS_FILE": str(ROOT / "sandbox" / "accounts.json"),
            "HOWLER_DATABASE_URL": f"sqlite:///{directory / 'howler.db'}",
            "HOWLER_SHUTDOWN_GRACE": "0.5",
        }

    async def front(self) -> Front:
        """Start the facade."""
        facade = Program("facade", env=self._env, cwd=self._directory)
        await self._stack.enter_async_context(facade)
        return await self._stack.enter_async_context(Front(facade.address))

    async def server(self) -> Program:
        """Start a server; it need not live until the end."""
        server = Program("server", env=self._env, cwd=self._directory)
        await server.__aenter__()
        self._stack.push_async_callback(server.stop)
        return server


async def until_ready(front: Front) -> None:
    async with asyncio.timeout(60):
        while (await front.http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def is_away(front: Front) -> None:
    """Check that the facade lives, and says of everything else that its server is away."""
    assert (await front.http.get("/healthz")).status_code == 200
    assert (await front.http.get("/readyz")).status_code == 503
    answers = [await front.http.get("/v1/models"), *await front.refusals("hello")]
    for answer in answers:
        assert (answer.status_code, told(answer)["code"]) == (503, "service_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def cut(front: Front, path: str, body: dict[str, object], speaking: asyncio.Event) -> bytes:
    """Stream an answer, say when it speaks, and return all that came."""
    raw = b""
    async with front.http.stream("POST", path, json=body) as answer:
        async for piece in answer.aiter_bytes():
            raw += piece
            if b"tok" in raw:
                speaking.set()
    return raw


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_goes_and_comes_back(tmp_path: Path, number: int) -> None:
    """P7.2, P7.4, P7.5, P8.6: every stream has its one proper end, and service goes on without a restart."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox())
        parts = Parts(tmp_path, stack, sandbox.url)
        front = await parts.front()
        await is_away(front)

        server = await parts.server()
        await until_ready(front)
        speaking = asyncio.Event(), asyncio.Event()
        prompt = "/pace 2000 20"
        cuts = asyncio.gather(
            cut(front, CHAT, chat_body(prompt, stream=True), speaking[0]),
            cut(front, RESPONSES, response_body(prompt, stream=True), speaking[1]),
            front.http.post(CHAT, json=chat_body(prompt)),
        )
        async with asyncio.timeout(60):
            await asyncio.gather(*(one.wait() for one in speaking))
        server.signal(number)
        by_chat, by_response, whole = await cuts
        chat, response = judge_chat_stream(by_chat), judge_response_stream(by_response)
        assert chat.content.startswith("tok0 ")
        assert chat.error is not None
        assert chat.error["code"] == "service_unavailable"
        assert response.terminal == "response.failed"
        assert response.response.error.code == "server_error"
        assert (whole.status_code, told(whole)["code"]) == (503, "service_unavailable")
        assert await server.ended() == (-number if number == signal.SIGKILL else 0)
        await is_away(front)

        await parts.server()
        await until_ready(front)
        again = await front.chat("hello again")
        assert again.content == "You said: “hello again”. This is turn 1."
