"""Issue 5, the turn log: read from anywhere by anybody. Watch and GetTurn, `watch` on a Relay; A6, A7."""

import asyncio
import random
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1.relay_pb2 import RelayRequest, WatchTurn
from howler.task.v1.start_turn_pb2 import (
    Attempt,
    DetachAction,
    Durability,
    Idempotency,
    OnDetach,
    StartTurn,
    TaskRetention,
)
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent

from tests.support import grammar
from tests.support.howler import Howler, reason_of, refused, text_of, watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP = TaskRetention.TASK_RETENTION_STOP
DURABLE, EPHEMERAL = Durability.DURABILITY_DURABLE, Durability.DURABILITY_EPHEMERAL
KEEP = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
SECONDS = 60.0  # a test that waits for longer has failed
both = pytest.mark.parametrize("durability", [DURABLE, EPHEMERAL])


async def started(howler: Howler, prompt: str, **start: Any) -> tuple[str, Any]:
    """Start a turn; return its id and the call that watches it."""
    start.setdefault("retention", STOP)
    start.setdefault("on_detach", KEEP)
    call = howler.tasks.Stream(pb.StreamRequest(start=StartTurn(prompt=prompt, **start)))
    accepted = (await call.read()).events[0].accepted
    return accepted.turn_id, call


async def record(howler: Howler, turn_id: str) -> pb.TurnRecord:
    found = await howler.tasks.GetTurn(pb.GetTurnRequest(turn_id=turn_id))
    assert isinstance(found, pb.GetTurnResponse)
    return found.turn


@both
async def test_the_suffix_is_the_same_from_every_seq_live_and_finished(
    howler: Howler, durability: Durability
) -> None:
    """A6"""
    turn_id, call = await started(howler, "/pace 150 10", durability=durability)
    live: list[tuple[int, asyncio.Task[list[TaskEvent]]]] = []
    seen = 0
    while (response := await call.read()) is not grpc.aio.EOF:
        seen = response.events[-1].seq
        while len(live) <= seen and response.events[-1].WhichOneof("event") != "ended":
            after = len(live)
            live.append((after, asyncio.create_task(watched(howler, turn_id, after))))
    whole = await watched(howler, turn_id)
    grammar.check(whole)
    assert len(live) > 100
    for after, watching in live:
        assert await watching == whole[after:], after
    for after in range(len(whole) + 1):
        assert await watched(howler, turn_id, after) == whole[after:], after
    assert await refused(watched(howler, turn_id, len(whole) + 1)) == "INVALID_REQUEST"


@both
async def test_twenty_watchers_that_join_at_random_are_told_the_same(
    howler: Howler, durability: Durability
) -> None:
    """A7: one upstream socket."""
    before = (await howler.sandbox.state())["sockets"]
    turn_id, call = await started(howler, "/pace 100 15", durability=durability)
    chance = random.Random(5)

    async def joins() -> list[TaskEvent]:
        await asyncio.sleep(chance.uniform(0, 1.5))
        return await watched(howler, turn_id)

    told = await asyncio.gather(*(joins() for _ in range(20)))
    call.cancel()
    grammar.check(told[0])
    assert [word for word in text_of(told[0]).split() if word[:3] == "tok"] == [f"tok{n}" for n in range(100)]
    assert all(events == told[0] for events in told)
    after = (await howler.sandbox.state())["sockets"]
    assert after["opened"] - before["opened"] == 1


@both
async def test_a_turn_is_shown_while_it_runs_and_after(howler: Howler, durability: Durability) -> None:
    turn_id, call = await started(howler, "/mute", durability=durability, principal="ann")
    runs = await record(howler, turn_id)
    assert (runs.turn_id, runs.principal, runs.durable) == (turn_id, "ann", durability == DURABLE)
    assert runs.end_reason == EndReason.END_REASON_UNSPECIFIED
    assert runs.task_id
    assert runs.last_seq >= 1
    assert runs.HasField("create_time")
    assert not runs.HasField("end_time")
    await howler.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=turn_id))
    over = await record(howler, turn_id)
    assert over.end_reason == EndReason.END_REASON_CANCELLED
    assert over.end_time.ToNanoseconds() > over.create_time.ToNanoseconds()
    assert (await watched(howler, turn_id))[-1].seq == over.last_seq
    call.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await record(howler, "turn_none")
    assert reason_of(raised.value) == "TURN_NOT_FOUND"


async def test_who_asks_for_what_is_there_gets_no_more(howler: Howler) -> None:
    turn_id, call = await started(howler, "/mute", durability=EPHEMERAL)
    async with asyncio.timeout(SECONDS):
        while not (events := await watched(howler, turn_id, until_now=True))[-1].HasField("started"):
            await asyncio.sleep(0.01)
    assert await watched(howler, turn_id, after_seq=events[-1].seq, until_now=True) == []
    relay = howler.tasks.Relay()
    for tag, after in ((1, 0), (2, events[-1].seq)):
        watch = WatchTurn(turn_id=turn_id, after_seq=after, until_now=True)
        await relay.write(RelayRequest(tag=tag, watch=watch))
    told: dict[int, list[TaskEvent]] = {1: [], 2: []}
    open_tags = {1, 2}
    while open_tags:
        for frame in (await relay.read()).frames:
            told[frame.tag] += frame.events
            if frame.told:
                open_tags.remove(frame.tag)
    assert told == {1: events, 2: []}
    await relay.done_writing()
    assert await relay.read() is grpc.aio.EOF
    await howler.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=turn_id))
    whole = await watched(howler, turn_id)
    assert await watched(howler, turn_id, until_now=True) == whole
    call.cancel()


async def test_the_end_of_a_log_is_told_to_who_has_read_it_all(howler: Howler) -> None:
    events = await howler.turn("hello", retention=STOP)
    relay = howler.tasks.Relay()
    watch = WatchTurn(turn_id=events[0].accepted.turn_id, after_seq=events[-1].seq)
    await relay.write(RelayRequest(tag=1, watch=watch))
    (frame,) = (await relay.read()).frames
    assert (frame.tag, frame.told, list(frame.events)) == (1, True, [])
    await relay.done_writing()
    assert await relay.read() is grpc.aio.EOF


@both
async def test_what_was_never_accepted_leaves_nothing(howler: Howler, durability: Durability) -> None:
    turn_id = f"turn_{random.getrandbits(128):032x}"
    start = StartTurn(turn_id=turn_id, prompt="hi", model="no such", strict_model=True, durability=durability)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.tasks.Stream(pb.StreamRequest(start=start)).read()
    assert reason_of(raised.value) == "MODEL_NOT_FOUND"
    assert await refused(watched(howler, turn_id)) == "MODEL_NOT_FOUND"


# Keep-alives.


@both
async def test_silence_is_told_in_the_log(howler: Howler, durability: Durability) -> None:
    """StartTurn.keep_alive: the events are of the log, so all watchers number alike."""
    start = {"keep_alive": {"seconds": 1}, "durability": durability, "retention": STOP}
    events = await howler.turn("/silence 3.5", **start)
    beats = [event for event in events if event.HasField("keep_alive")]
    assert 2 <= len(beats) <= 4
    assert all(beat.time_unix_ms for beat in beats)
    assert await watched(howler, events[0].accepted.turn_id) == events
    assert not any(
        event.HasField("keep_alive") for event in await howler.turn("/silence 1.5", retention=STOP)
    )
    quick = await howler.turn("/pace 30 50", **start)
    assert not any(event.HasField("keep_alive") for event in quick)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_alive": {"nanos": 999_999_999}},
        {"idempotency": Idempotency()},
        {"idempotency": Idempotency(key="k" * 129)},
    ],
)
async def test_what_cannot_be_meant_is_refused(howler: Howler, wrong: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn("hi", **wrong)
    assert reason_of(raised.value) == "INVALID_REQUEST"


# Starts that are safe to repeat.


def keyed(key: str, attempt: Attempt = Attempt.ATTEMPT_UNSPECIFIED) -> dict[str, Any]:
    return {"idempotency": Idempotency(key=key, attempt=attempt), "principal": "ann", "retention": STOP}


async def prompts(howler: Howler, text: str) -> int:
    """Return how many turns the platform ran for a prompt."""
    tasks = (await howler.sandbox.state())["tasks"]
    return sum(turn["prompt"] == text for task in tasks for turn in task["turns"])


@both
async def test_one_key_is_one_turn_while_it_runs(howler: Howler, durability: Durability) -> None:
    """F1, F2"""
    prompt = f"/pace 40 {25 + durability}"
    start = {**keyed(f"one{durability}"), "durability": durability}
    told = await asyncio.gather(*(howler.turn(prompt, **start) for _ in range(20)))
    assert all(events == told[0] for events in told)
    assert await prompts(howler, prompt) == 1
    running = asyncio.create_task(howler.turn(prompt, **start))
    async with asyncio.timeout(SECONDS):
        while await prompts(howler, prompt) < 2:  # the one before is over, and this says of no retry
            await asyncio.sleep(0.02)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn("something else", **start)
    assert reason_of(raised.value) == "IDEMPOTENCY_MISMATCH"
    assert text_of(await howler.turn("hello, bob", **{**start, "principal": "bob"}))
    assert (await running)[0].accepted.turn_id != told[0][0].accepted.turn_id


@both
async def test_a_retry_is_told_what_its_turn_told(howler: Howler, durability: Durability) -> None:
    prompt = f"what is a retry, {durability}?"
    first = await howler.turn(prompt, **keyed(f"again{durability}"), durability=durability)
    retry = keyed(f"again{durability}", attempt=Attempt.ATTEMPT_RETRY)
    assert await howler.turn(prompt, **retry, durability=durability) == first
    assert await howler.turn(prompt, **retry, durability=durability, guidance="briefly") == first
    assert await prompts(howler, prompt) == 1
    other = await howler.turn("another question", **retry, durability=durability)
    assert other[0].accepted.turn_id != first[0].accepted.turn_id


async def test_a_start_that_failed_is_not_what_a_retry_is_told(howler: Howler) -> None:
    wrong = {**keyed("failed"), "model": "no such", "strict_model": True}
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await howler.turn("hi", **wrong)
        assert reason_of(raised.value) == "MODEL_NOT_FOUND"
    assert text_of(await howler.turn("hi", **keyed("failed", attempt=Attempt.ATTEMPT_RETRY)))


# How long a log is kept.


async def test_a_durable_log_is_kept_for_its_time(tmp_path: Path) -> None:
    """HOWLER_TURN_RETENTION"""
    async with Howler(tmp_path, facade=False, env={"HOWLER_TURN_RETENTION": "3"}) as howler:
        events = await howler.turn("hello", retention=STOP)
        turn_id = events[0].accepted.turn_id
        assert await watched(howler, turn_id) == events
        running, call = await started(howler, "/mute")

        async def watched_again_and_again() -> None:
            while True:
                assert await watched(howler, turn_id) == events
                await asyncio.sleep(0.2)

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asyncio.wait_for(watched_again_and_again(), SECONDS)
        assert reason_of(raised.value) == "TURN_NOT_FOUND"
        assert (await record(howler, running)).last_seq
        call.cancel()
        await howler.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=running))
