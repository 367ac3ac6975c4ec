"""What both ways of answering need: a turn to read, JSON to send, a caller who may leave."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from starlette.types import Receive, Scope, Send

from facade.errors import ApiError, internal
from facade.ids import new_id
from facade.openai.heard import Heard

_log = logging.getLogger(__name__)

Header = tuple[bytes, bytes]


class Turn(Protocol):
    """A running turn: batches of its events; raises ApiError where it fails without telling an event.

    It ends after `ended`, or because it was left.
    """

    def __aiter__(self) -> AsyncIterator[Sequence[Heard]]: ...

    def at_once(self, take: Callable[[Sequence[Heard]], bool]) -> None:
        """Let `take` have batches as they come, while the next one is waited for; never the last.

        It neither waits nor raises. What it says it did not take is read; a turn may offer it nothing.
        """

    def leave(self) -> None:
        """Leave it, which ends the iteration; the server cancels it then, unless it is over."""


async def send_json(send: Send, status: int, body: bytes, headers: list[Header]) -> None:
    """Send one JSON answer."""
    common = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*common, *headers]})
    await send({"type": "http.response.body", "body": body})


class Wire(Protocol):
    """A caller's connection, where it is one of http.py's: what ASGI does with a task is a call there."""

    def write(self, body: bytes) -> bool:
        """Put a piece of a chunked answer on its way, which has begun and goes on; it is not empty.

        Return whether the caller keeps up: who writes more where he does not waits first, by ASGI's `send`.
        """

    def when_gone(self, leave: Callable[[], None]) -> None:
        """Call it when the caller has left before the answer is over, or now if he has."""


def watch(scope: Scope, receive: Receive, leave: Callable[[], None]) -> asyncio.Task[None] | None:
    """Have the turn left when the caller has; return the task that waits for it, where one must."""
    wire: Wire | None = scope["state"].get("wire")
    if wire is None:
        return asyncio.create_task(_until_gone(receive, leave))
    wire.when_gone(leave)
    return None


async def _until_gone(receive: Receive, leave: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def cancelled(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel those that run and wait until they are gone."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.gather(*running, return_exceptions=True)


def told_by(error: Exception, scope: Scope) -> ApiError:
    """Return what the client is told of a failure; one that is no ApiError is logged whole as an incident."""
    if isinstance(error, ApiError):
        return error
    incident = new_id()
    _log.error("incident %s in request %s", incident, scope["state"]["request_id"], exc_info=error)
    return internal(incident)
