"""Issue 6: usage is exact where the platform tells it in the stats of a task (protocol §5.3)."""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent, UsageSource
from howler.task.v1.task_service_pb2 import AnswerQuestionRequest, CancelTurnRequest, WatchRequest

from tests.support.howler import Howler
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
EXACT = UsageSource.USAGE_SOURCE_EXACT
ESTIMATED = UsageSource.USAGE_SOURCE_ESTIMATED
COMPLETED = EndReason.END_REASON_COMPLETED
ASK = QuestionPolicy.QUESTION_POLICY_ASK
HOUR_MS = 3_600_000
HANG = {"path": "/api/v1/users/tasks/*-*", "method": "GET", "times": 99, "do": "hang"}
"""What is asked about a task is not answered."""


async def used(howler: Howler, task_id: str) -> tuple[int, int, int]:
    """Return what the sandbox counted for a task over all its turns, told or not."""
    task = await howler.sandbox.task(task_id)
    stats = task["stats"]
    return stats["input_tokens"], stats["output_tokens"], stats["total_tokens"]


async def reads(howler: Howler) -> int:
    """Return how often the sandbox was asked about a task."""
    requests = (await howler.sandbox.state())["requests"]
    return int(requests.get("GET /api/v1/users/tasks/{id}", 0))


async def more_reads(howler: Howler, than: int) -> None:
    """Wait until the sandbox was asked once more."""

    async def is_asked() -> bool:
        return await reads(howler) > than

    await eventually(is_asked)


def told(events: list[TaskEvent]) -> tuple[int, int, int]:
    tokens = events[-1].ended.usage.tokens
    return tokens.input_tokens, tokens.output_tokens, tokens.total_tokens


def source(events: list[TaskEvent]) -> Any:
    return events[-1].ended.usage.tokens.source


async def asked(howler: Howler) -> Watched:
    """Return a turn on a new task whose agent waits for an answer: nobody asks after its VM any more."""
    turn = Watched(howler, "/ask", question_policy=ASK)
    await turn.until("question")
    return turn


async def answer(howler: Howler, turn: Watched) -> None:
    question_id = (await turn.until("question")).question.question_id
    await howler.tasks.AnswerQuestion(
        AnswerQuestionRequest(turn_id=turn.turn_id, question_id=question_id, decline=True)
    )


async def test_a_turn_used_what_its_task_has_more(howler: Howler) -> None:
    await howler.sandbox.faults(platform={"stats_lag_ms": 0})
    first = await howler.turn("Count what I say")
    task_id = first[0].accepted.task_id
    once = await used(howler, task_id)
    assert (told(first), source(first)) == (once, EXACT)
    before = once
    for prompt in ("And now?", "And then?"):
        turn = await howler.turn(prompt, task_id=task_id)
        after = await used(howler, task_id)
        part = tuple(b - a for a, b in zip(before, after, strict=True))
        assert (told(turn), source(turn)) == (part, EXACT), prompt
        before = after


async def test_what_is_told_too_late_is_nobodys(howler: Howler) -> None:
    """The first turn's tokens come while the second runs: neither turn has its own."""
    await howler.sandbox.faults(platform={"stats_lag_ms": HOUR_MS})
    first = await howler.turn("Count me later")
    assert source(first) == ESTIMATED
    task_id = first[0].accepted.task_id
    await howler.sandbox.faults(platform={"stats_lag_ms": 0})
    second = await howler.turn("And now?", task_id=task_id)
    assert source(second) == ESTIMATED
    assert told(second)[0] == -(-len("And now?") // 4)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_ends_while_a_turn_waits(tmp_path: Path, number: signal.Signals) -> None:
    async with Howler(tmp_path, facade=False, env={"HOWLER_USAGE_WAIT": "10"}) as howler:
        turn = await asked(howler)
        await howler.sandbox.faults(routes=[HANG], platform={"stats_lag_ms": 0})
        before = await reads(howler)
        await answer(howler, turn)
        await more_reads(howler, before)
        howler.server.signal(number)
        with suppress(grpc.aio.AioRpcError):
            await turn.rest()
        await howler.server.ended()
        await howler.sandbox.faults(routes=[])
        await howler.start_server()
        watch = WatchRequest(watch=WatchTurn(turn_id=turn.turn_id))
        events = [event async for told in howler.tasks.Watch(watch) for event in told.events]
        assert (events[-1].ended.reason, source(events)) == (COMPLETED, ESTIMATED)
        (task,) = (await howler.sandbox.state())["tasks"]
        assert len(task["turns"]) == 1


async def test_the_end_does_not_wait_for_a_platform_that_does_not_answer(howler: Howler) -> None:
    """It waits as long as it may, and not where the turn is interrupted; it ends as it did."""
    await howler.sandbox.faults(platform={"stats_lag_ms": 0})
    cancelled, patient = await asked(howler), await asked(howler)
    await howler.sandbox.faults(routes=[HANG])
    before = await reads(howler)
    await answer(howler, cancelled)
    await more_reads(howler, before)
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=cancelled.turn_id))
    await answer(howler, patient)
    for turn in (cancelled, patient):
        events = await turn.rest()
        assert (events[-1].ended.reason, source(events)) == (COMPLETED, ESTIMATED)
    await howler.sandbox.reset()


async def test_a_cancelled_turn_is_estimated(howler: Howler) -> None:
    await howler.sandbox.faults(platform={"stats_lag_ms": 0})
    turn = await asked(howler)
    before = await reads(howler)
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert source(await turn.rest()) == ESTIMATED
    assert await reads(howler) == before


async def test_a_platform_without_stats_is_looked_at_once(tmp_path: Path) -> None:
    async with Howler(tmp_path, facade=False) as howler:
        looks = []
        for _ in range(3):
            turn = await asked(howler)
            before = await reads(howler)
            await answer(howler, turn)
            assert source(await turn.rest()) == ESTIMATED
            looks.append(await reads(howler) - before)
        assert looks == [1, 0, 0]
        before = await reads(howler)
        for _ in range(2):
            await howler.turn("And now?", task_id=turn.task_id)
        assert await reads(howler) == before + 2, "before each turn it is seen whether its task still lives"


async def test_nothing_is_read_where_nobody_waits(tmp_path: Path) -> None:
    async with Howler(tmp_path, facade=False, env={"HOWLER_USAGE_WAIT": "0"}) as howler:
        await howler.sandbox.faults(platform={"stats_lag_ms": 0})
        turn = await asked(howler)
        before = await reads(howler)
        await answer(howler, turn)
        assert source(await turn.rest()) == ESTIMATED
        assert await reads(howler) == before
