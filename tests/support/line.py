"""A client of the WebSocket of /v1/responses that sees every frame."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from tests.support.response_judge import SAFE_ITEMS, ResponseVerdict, judge_response_stream

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class Line:
    """An open connection: say something, hear what comes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def create(self, **fields: Any) -> None:
        """Ask for a response."""
        await self.socket.send(json.dumps({"type": "response.create", "model": "default"} | fields))

    async def hear(self, *until: str) -> list[dict[str, Any]]:
        """Return the events up to one that ends an answer, or to one of the types `until`."""
        events: list[dict[str, Any]] = []
        while not events or events[-1]["type"] not in {*_ENDS, *until}:
            frame = await self.socket.recv()
            assert isinstance(frame, str), "events are text"
            events.append(json.loads(frame))
        return events

    async def ask(self, prompt: object, **fields: Any) -> ResponseVerdict:
        """Ask, and return what a client understands of the answer."""
        await self.create(input=prompt, **fields)
        return judge_frames(await self.hear())

    async def refused(self, **fields: Any) -> dict[str, Any]:
        """Ask for what is refused; return the error's event."""
        await self.create(**fields)
        (error,) = await self.hear()
        assert error["type"] == "error"
        return error


@asynccontextmanager
async def line_to(address: str, **headers: str) -> AsyncIterator[Line]:
    """Open a connection to the facade at an address, with headers."""
    url = address.replace("http", "ws", 1) + "/v1/responses"
    async with connect(url, additional_headers=headers, proxy=None, max_size=None) as socket:
        yield Line(socket)


def judge_frames(events: list[dict[str, Any]], kinds: frozenset[str] = SAFE_ITEMS) -> ResponseVerdict:
    """Judge the events as those of a stream over HTTP."""
    sse = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return judge_response_stream(sse.encode(), kinds)
