"""Tells an answer over a WebSocket: each event is a text frame, and so is an error (openai-surface.md §6.6).

The answer is told as over HTTP, and what goes out is the `data` of each of its
SSE frames, byte for byte.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Scope, Send

from facade.errors import ApiError
from facade.sse.asgi import Header

_DATA: Final = b"\ndata: "
_ABOUT_RETRIES: Final = frozenset({b"retry-after", b"x-should-retry"})


class FramedAnswer:
    """Carries one answer over a WebSocket that stays open behind it. A client that left is told nothing."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 200
        self._headers: list[Header] = []
        self._over = asyncio.Event()

    async def tell(self, answer: ASGIApp, scope: Scope) -> None:
        """Tell an answer of HTTP until it ends."""
        state = {**scope["state"], "send": self._take}
        state.pop("wire", None)  # it carries no frames
        await answer({**scope, "type": "http", "state": state}, self._wait, self._take)

    async def fail(self, error: ApiError) -> None:
        """Tell an error."""
        await self._write(_error(error.status, error.body(), error.headers()))

    async def say(self, event: str) -> None:
        """Tell one event."""
        await self._write(event)

    async def _wait(self) -> Message:
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], message["headers"]
            return
        if self._status == 200:
            for event in _events(message["body"]):
                await self._write(event)
        else:
            await self._write(_error(self._status, message["body"], self._headers))
        if not message.get("more_body", False):
            self._over.set()

    async def _write(self, text: str) -> None:
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError:
            self._over.set()


def _events(sse: bytes) -> Iterator[str]:
    """Return the events of whole SSE frames; a comment is none."""
    for frame in sse.split(b"\n\n"):
        _, found, event = frame.partition(_DATA)
        if found:
            yield event.decode()


def _error(status: int, body: bytes, headers: Iterable[Header]) -> str:
    """Return the event for an error of HTTP, with the headers that say whether to try again."""
    error = msgspec.json.decode(body, type=dict[str, dict[str, object]])["error"]
    told = {name.decode(): value.decode() for name, value in headers if name in _ABOUT_RETRIES}
    if told:
        error["headers"] = told
    return msgspec.json.encode({"type": "error", "status": status, "error": error}).decode()
