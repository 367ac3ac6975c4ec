"""A turn that a test reads step by step, and waiting for what comes about in its own time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import StreamRequest

from tests.support import grammar
from tests.support.howler import Howler

_T = TypeVar("_T")


class Watched:
    """A turn that is read step by step."""

    def __init__(self, howler: Howler, prompt: str, **start: Any) -> None:
        self.call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt=prompt, **start)))
        self.events: list[TaskEvent] = []

    async def until(self, kind: str) -> TaskEvent:
        """Read until an event of this kind and return the first one."""
        while True:
            for event in self.events:
                if event.WhichOneof("event") == kind:
                    return event
            self.events += (await self.call.read()).events

    async def rest(self) -> list[TaskEvent]:
        """Read to the end and return the whole turn, checked."""
        while (response := await self.call.read()) is not grpc.aio.EOF:
            self.events += response.events
        grammar.check(self.events)
        return self.events

    @property
    def turn_id(self) -> str:
        """Howler's id of it."""
        return str(self.events[0].accepted.turn_id)

    @property
    def task_id(self) -> str:
        """The platform's id of its task."""
        return str(self.events[0].accepted.task_id)


async def eventually(look: Callable[[], Awaitable[_T]]) -> _T:
    """Wait until an async look says something true."""
    async with asyncio.timeout(60):
        while not (seen := await look()):
            await asyncio.sleep(0.02)
    return seen
