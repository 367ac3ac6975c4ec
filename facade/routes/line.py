"""A WebSocket of /v1/responses: its requests are answered one after another (openai-surface.md §6.6)."""

import asyncio
import contextlib
import time
from typing import Final

from starlette.responses import Response
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from facade.ids import new_id
from facade.openai.hints import COUNT_HEADER
from facade.openai.kept import response_id
from facade.openai.socket_frame import read_creation, steer_of, successor, warmed
from facade.openai.spoken import Spoken
from facade.routes.answering import Answering, Asking
from facade.routes.front import Caller, Front
from facade.routes.steering import Steering
from facade.sse import FramedAnswer, cancelled, told_by

_NORMAL: Final = 1000
_TOO_MUCH: Final = 1008
_RESTARTING: Final = 1012


class Line:
    """One connection. What is said on it and stored nowhere is remembered while it is open.

    Frames that come during an answer wait for its end, `max_body_bytes` of them at most. Who hangs up
    leaves the turn that runs, as over HTTP.
    """

    def __init__(self, front: Front, answering: Answering, socket: WebSocket) -> None:
        self._answering = answering
        self._socket = socket
        self._spoken = Spoken(front.max_body_bytes)
        # An SDK's count of attempts is that of the connection, not of what is asked on it.
        headers = {name: value for name, value in socket.headers.items() if name != COUNT_HEADER}
        self._caller = caller = Caller.of(socket)._replace(headers=headers, spoken=self._spoken.known)
        self._steering = Steering(lambda turn_id: front.backend.cancel(turn_id, caller.request_id))
        self._idle = front.socket_idle
        self._most = front.max_body_bytes
        self._lines = front.lines
        self._asked: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting = 0  # bytes
        self._busy = False

    async def serve(self) -> None:
        """Serve until the client leaves, or asks for nothing for long."""
        await self._socket.accept()
        answering = asyncio.create_task(self._answer_all())
        try:
            while (data := await self._hear()) is not None:
                if (steer := steer_of(data, new_id())) is not None:
                    await self._framed().say(self._steering.take(steer))
                    continue
                self._waiting += len(data)
                if self._waiting > self._most:
                    await self._hang_up(_TOO_MUCH, "Too much waits for the answer that runs.")
                    return
                self._asked.put_nowait(data)
        finally:
            await cancelled(answering)

    async def _hear(self) -> bytes | None:
        """Return the next frame; None when the connection is over."""
        while True:
            try:
                async with asyncio.timeout(self._idle):
                    message = await self._socket.receive()
            except TimeoutError:
                if self._busy or self._waiting:
                    continue
                await self._hang_up(_NORMAL, "Nothing was asked for long.")
                return None
            return _data(message)

    async def _answer_all(self) -> None:
        while True:
            data = await self._asked.get()
            self._busy, self._waiting = True, self._waiting - len(data)
            with self._lines.answer():
                try:
                    await self._answer(data)
                except Exception as error:
                    await self._framed().fail(told_by(error, self._socket.scope))
            self._busy = False
            if self._lines.closing:
                await self._hang_up(_RESTARTING, "This process goes; come again.")
                return

    async def _answer(self, data: bytes) -> None:
        """Answer one frame; raises what it fails of before anything was told of it."""
        wanted = read_creation(data)
        if not wanted.generates:
            await self._warm(wanted.body)
            return
        body: bytes | None = wanted.body
        while body is not None:
            body = await self._respond(body)

    async def _warm(self, body: bytes) -> None:
        whole, unique = (await self._answering.written_out(self._caller, body)).body, new_id()
        warm = Response(warmed(response_id(unique), int(time.time()), whole))
        await self._framed().tell(warm, self._socket.scope)
        self._spoken.keep(response_id(unique), whole, [])

    async def _respond(self, body: bytes) -> bytes | None:
        """Tell a response; return the request that goes on from it, where something was said meanwhile."""
        asking = await self._answering.read(self._caller, body)
        answer = await self._answering.answer(asking)
        with self._steering.of(asking) as steers:
            await self._framed().tell(answer, self._socket.scope)
        self._remember(asking)
        if steers and asking.stream.failure is None:
            return successor(body, asking.stream.id, steers)
        for steer in steers:
            await self._framed().say(steer.failed("successor_creation_failed", "The response failed."))
        return None

    def _framed(self) -> FramedAnswer:
        return FramedAnswer(self._socket.scope["state"]["send"])

    def _remember(self, asking: Asking) -> None:
        """Keep what a request that is stored nowhere came to, unless it failed."""
        response = asking.stream.response
        if asking.kept is None and asking.stream.failure is None and response is not None:
            output = response["output"]
            assert isinstance(output, list), "an output is a list of items"
            self._spoken.keep(asking.stream.id, asking.body, output)

    async def _hang_up(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            await self._socket.close(code, reason)


def _data(message: Message) -> bytes | None:
    """Return what a frame holds, of text or not; None where the client has left."""
    if message["type"] != "websocket.receive":
        return None
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text.encode()
