"""Issue 5, durability: a server is killed with turns running, and started again (E3)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import (
    Attempt,
    DetachAction,
    Durability,
    Idempotency,
    OnDetach,
    StartTurn,
    TaskRetention,
)
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import GetTurnRequest, StreamRequest, WatchRequest

from tests.support.howler import Howler, reason_of

SECONDS = 90.0  # a test that waits for longer has failed
STOP = TaskRetention.TASK_RETENTION_STOP
KEEP = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)


@pytest.fixture
async def howler(tmp_path: Path) -> AsyncIterator[Howler]:
    async with Howler(tmp_path, facade=False) as running:
        yield running


class Turn:
    """A turn and what its caller has read of it."""

    def __init__(self, howler: Howler, prompt: str, **start: Any) -> None:
        start.setdefault("retention", STOP)
        start.setdefault("on_detach", KEEP)
        self._howler = howler
        self._call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt=prompt, **start)))
        self.events: list[TaskEvent] = []

    @property
    def id(self) -> str:
        return self.events[0].accepted.turn_id

    async def read(self, until: int = 1 << 30) -> None:
        """Read to the end, to so many events, or until the server is gone."""
        try:
            while len(self.events) < until and (response := await self._call.read()) is not grpc.aio.EOF:
                self.events += response.events
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise

    async def told(self, after_seq: int = 0, **watch: Any) -> list[TaskEvent]:
        """Watch the turn anew."""
        asked = WatchTurn(turn_id=self.id, after_seq=after_seq, **watch)
        events: list[TaskEvent] = []
        async for response in self._howler.tasks.Watch(WatchRequest(watch=asked)):
            events += response.events
        return events


async def test_a_turn_that_had_ended_is_told_again_after_a_kill(howler: Howler) -> None:
    turns = [Turn(howler, prompt) for prompt in ("/all", "/burst 3000", "/tools", "hello")]
    await asyncio.gather(*(turn.read() for turn in turns))
    record = (await howler.tasks.GetTurn(GetTurnRequest(turn_id=turns[0].id))).turn
    await howler.kill_server()
    await howler.start_server()
    for turn in turns:
        assert await turn.told() == turn.events
        assert await turn.told(after_seq=3) == turn.events[3:]
        assert await turn.told(after_seq=len(turn.events)) == []
    assert (await howler.tasks.GetTurn(GetTurnRequest(turn_id=turns[0].id))).turn == record


@pytest.mark.parametrize("seen", [1, 40])
async def test_what_was_told_is_there_after_a_kill(howler: Howler, seen: int) -> None:
    """Of a durable turn an event is told only once it is stored."""
    turns = [Turn(howler, "/pace 5000 1") for _ in range(4)]
    readings = [asyncio.create_task(turn.read()) for turn in turns]
    await Turn(howler, "/pace 5000 1").read(until=seen)
    howler.server.signal(9)
    await asyncio.gather(*readings)
    await howler.server.ended()
    await howler.start_server()
    for turn in turns:
        if turn.events:
            stored = await turn.told(until_now=True)
            assert stored[: len(turn.events)] == turn.events


async def test_what_is_not_durable_is_gone_after_a_kill(howler: Howler) -> None:
    turn = Turn(howler, "/burst 20000", durability=Durability.DURABILITY_EPHEMERAL)
    await turn.read()
    await howler.kill_server()
    await howler.start_server()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await turn.told()
    assert reason_of(raised.value) == "TURN_NOT_FOUND"


async def test_a_retry_after_a_kill_is_told_what_its_turn_told(howler: Howler) -> None:
    """F1"""
    turn = Turn(howler, "only once", idempotency=Idempotency(key="k"), principal="ann")
    await turn.read()
    await howler.kill_server()
    await howler.start_server()
    retry = Turn(
        howler, "only once", idempotency=Idempotency(key="k", attempt=Attempt.ATTEMPT_RETRY), principal="ann"
    )
    await retry.read()
    assert retry.events == turn.events
    tasks = (await howler.sandbox.state())["tasks"]
    assert sum(task["content"] == "only once" for task in tasks) == 1
