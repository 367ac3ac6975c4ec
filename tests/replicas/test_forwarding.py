"""Issue 5, several replicas: whoever asks about a turn may ask any server; the one that runs it answers."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import CreateRequest, DeleteRequest
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1.relay_pb2 import AnswerTurn, CancelTurn, Detach, Grant, RelayRequest, WatchTurn
from howler.task.v1.start_turn_pb2 import (
    DetachAction,
    Durability,
    Idempotency,
    OnDetach,
    QuestionPolicy,
    StartTurn,
    TaskRetention,
)
from howler.task.v1.task_event_pb2 import Answer, EndReason, Question, TaskEvent

from tests.replicas.test_replicas import Two, two_servers
from tests.support import grammar
from tests.support.howler import Howler, reason_of, refused, text_of, watched

SECONDS = 90.0  # a test that waits for longer has failed
DURABLE, EPHEMERAL = Durability.DURABILITY_DURABLE, Durability.DURABILITY_EPHEMERAL
KEEP = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
STOP = TaskRetention.TASK_RETENTION_STOP
ASK = QuestionPolicy.QUESTION_POLICY_ASK
CANCELLED = EndReason.END_REASON_CANCELLED
LEASES = {
    "HOWLER_LEASE_TTL": "6",
    "HOWLER_LEASE_RENEW": "1",
    "HOWLER_LEASE_MARGIN": "1",
    "HOWLER_LEASE_RECLAIM": "1",
}
"""Time limits of leases, scaled down, though not below what a busy machine keeps."""

both = pytest.mark.parametrize("durability", [DURABLE, EPHEMERAL])


@pytest.fixture
async def two(tmp_path: Path, url: str) -> AsyncIterator[Two]:
    """Start two servers on one database of each kind."""
    async with two_servers(tmp_path, url, users=2, slots=20, env=LEASES) as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, postgres_url: str) -> AsyncIterator[Two]:
    """Start two servers on one PostgreSQL."""
    async with two_servers(tmp_path, postgres_url, users=2, slots=20, env=LEASES) as running:
        yield running


async def started(
    howler: Howler, prompt: str, until: str = "accepted", **start: Any
) -> tuple[TaskEvent, Any]:
    """Start a turn and read to an event of a kind; return `accepted` and the call."""
    start = {"retention": STOP, "on_detach": KEEP} | start
    call = howler.tasks.Stream(pb.StreamRequest(start=StartTurn(prompt=prompt, **start)))
    events: list[TaskEvent] = []
    while not any(event.WhichOneof("event") == until for event in events):
        events += (await call.read()).events
    return events[0], call


async def record(howler: Howler, turn_id: str) -> pb.TurnRecord:
    found = await howler.tasks.GetTurn(pb.GetTurnRequest(turn_id=turn_id))
    assert isinstance(found, pb.GetTurnResponse)
    return found.turn


def answers_to(question: Question) -> list[Answer]:
    return [Answer(text=item.text, values=[item.options[-1].label]) for item in question.items]


class OnRelay:
    """A turn that is watched over a Relay."""

    def __init__(self, howler: Howler) -> None:
        self.call = howler.tasks.Relay()
        self.events: list[TaskEvent] = []

    async def say(self, **request: Any) -> None:
        await self.call.write(RelayRequest(tag=7, **request))

    async def read(self, until: int = 1 << 30) -> Any:
        """Read to the terminal frame, or to so many events; return the frame."""
        async with asyncio.timeout(SECONDS):
            while True:
                for frame in (await self.call.read()).frames:
                    self.events += frame.events
                    ended = bool(frame.events) and frame.events[-1].HasField("ended")
                    if ended or frame.told or frame.HasField("failed") or len(self.events) >= until:
                        return frame


@both
async def test_a_turn_is_watched_from_any_seq_on_any_server(two: Two, durability: Durability) -> None:
    first, call = await started(two.one, "/pace 60 60", durability=durability)  # time to come and watch
    turn_id = first.accepted.turn_id
    relay = OnRelay(two.two)
    await relay.say(watch=WatchTurn(turn_id=turn_id))
    tasks = [asyncio.create_task(watched(howler, turn_id)) for howler in (two.one, two.two, two.two)]
    shown = await record(two.two, turn_id)
    assert (shown.turn_id, shown.end_reason) == (turn_id, EndReason.END_REASON_UNSPECIFIED)
    so_far = await watched(two.two, turn_id, until_now=True)
    whole, *others = await asyncio.gather(*tasks)
    grammar.check(whole)
    assert text_of(whole) == "".join(f"tok{number} " for number in range(60))
    assert all(events == whole for events in others)
    assert so_far == whole[: len(so_far)]
    assert so_far
    await relay.read()
    assert relay.events == whole
    if durability == DURABLE:
        for after in (0, 9, len(whole)):
            assert await watched(two.two, turn_id, after) == whole[after:]
        assert (await record(two.two, turn_id)).end_reason == EndReason.END_REASON_COMPLETED
    state = await two.sandbox.state()
    assert state["sockets"]["opened"] == 1, "the server that runs it alone has a socket"
    call.cancel()
    relay.call.cancel()


@both
async def test_errors_keep_their_reason(pair: Two, durability: Durability) -> None:
    first, _ = await started(pair.one, "/mute", until="started", durability=durability)
    turn_id = first.accepted.turn_id

    tasks = pair.two.tasks
    answer = pb.AnswerQuestionRequest(turn_id=turn_id, question_id="q", decline=True)
    assert await refused(watched(pair.two, turn_id, after_seq=1000)) == "INVALID_REQUEST"
    assert await refused(tasks.AnswerQuestion(answer)) == "QUESTION_NOT_FOUND"
    for none in ("turn_0", ""):
        assert await refused(watched(pair.two, none)) == "TURN_NOT_FOUND"
        assert await refused(record(pair.two, none)) == "TURN_NOT_FOUND"
        assert await refused(tasks.CancelTurn(pb.CancelTurnRequest(turn_id=none))) == "TURN_NOT_FOUND"
    relay = OnRelay(pair.two)
    await relay.say(watch=WatchTurn(turn_id=turn_id, after_seq=1000))
    assert (await relay.read()).HasField("failed")
    relay.call.cancel()
    assert (await tasks.CancelTurn(pb.CancelTurnRequest(turn_id=turn_id))).reason == CANCELLED


@both
async def test_a_turn_is_steered_from_any_server(two: Two, durability: Durability) -> None:
    first, call = await started(two.one, "/mute", until="started", durability=durability)
    cancelled = await two.two.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=first.accepted.turn_id))
    assert cancelled.reason == CANCELLED

    first, call = await started(two.one, "/ask", durability=durability, question_policy=ASK)
    turn_id = first.accepted.turn_id
    watching = two.two.tasks.Watch(pb.WatchRequest(watch=WatchTurn(turn_id=turn_id)))
    whole: list[TaskEvent] = []
    while not (whole and whole[-1].HasField("question")):
        whole += (await watching.read()).events
    asked = whole[-1].question
    await two.two.tasks.AnswerQuestion(
        pb.AnswerQuestionRequest(turn_id=turn_id, question_id=asked.question_id, answers=answers_to(asked))
    )
    while (response := await watching.read()) is not grpc.aio.EOF:
        whole += response.events
    grammar.check(whole)
    assert asked.items[0].options[-1].label in text_of(whole)
    call.cancel()


async def test_a_turn_is_steered_over_any_servers_relay(pair: Two) -> None:
    first, _ = await started(pair.one, "/ask", durability=EPHEMERAL, question_policy=ASK)
    relay = OnRelay(pair.two)
    await relay.say(watch=WatchTurn(turn_id=first.accepted.turn_id))
    while not (relay.events and relay.events[-1].HasField("question")):
        await relay.read(until=len(relay.events) + 1)
    asked = relay.events[-1].question
    await relay.say(answer=AnswerTurn(question_id="another", decline=True))
    await relay.say(answer=AnswerTurn(question_id=asked.question_id, answers=answers_to(asked)))
    await relay.read()
    grammar.check(relay.events)
    assert asked.items[0].options[-1].label in text_of(relay.events)

    first, _ = await started(pair.one, "/mute", until="started")
    relay.events.clear()
    await relay.say(watch=WatchTurn(turn_id=first.accepted.turn_id))
    await relay.read(until=1)
    await relay.say(cancel=CancelTurn())
    await relay.read()
    assert relay.events[-1].ended.reason == CANCELLED
    relay.call.cancel()


async def test_a_watcher_without_credit_is_a_place_there_too(pair: Two) -> None:
    """A6, A8: what a window does not let through waits at the owner."""
    first, call = await started(pair.one, "/burst 20000", durability=EPHEMERAL)
    relay = OnRelay(pair.two)
    await relay.say(watch=WatchTurn(turn_id=first.accepted.turn_id))
    whole = await watched(pair.two, first.accepted.turn_id)
    while not (relay.events and relay.events[-1].HasField("ended")):
        await relay.say(grant=Grant(bytes=100_000))
        await relay.read(until=len(relay.events) + 1)
    assert relay.events == whole
    assert text_of(whole) == "".join(f"tok{number} " for number in range(20_000)), "in however many pieces"
    call.cancel()
    relay.call.cancel()


async def test_who_leaves_one_server_leaves_the_turn_on_the_other(pair: Two) -> None:
    leave = OnDetach(action=DetachAction.DETACH_ACTION_CANCEL)
    first, call = await started(pair.one, "/mute", until="started", on_detach=leave)
    turn_id = first.accepted.turn_id
    relay = OnRelay(pair.two)
    await relay.say(watch=WatchTurn(turn_id=turn_id))
    await relay.read(until=1)
    call.cancel()
    shown = await record(pair.one, turn_id)
    assert shown.end_reason == EndReason.END_REASON_UNSPECIFIED, "it is watched by way of the other server"
    await relay.say(detach=Detach())
    async with asyncio.timeout(SECONDS):
        while (await record(pair.one, turn_id)).end_reason != CANCELLED:
            await asyncio.sleep(0.1)
    relay.call.cancel()


async def test_a_task_and_a_conversation_are_ended_from_any_server(pair: Two) -> None:
    first, call = await started(pair.one, "/mute", until="started", durability=EPHEMERAL)
    stopped = await pair.two.tasks.StopTask(pb.StopTaskRequest(task_id=first.accepted.task_id))
    assert stopped.task.state == pb.TaskState.TASK_STATE_ENDED
    assert (await call.read()).events[-1].ended.reason == CANCELLED

    made = (await pair.two.conversations.Create(CreateRequest())).conversation
    kept = {"conversation_id": made.conversation_id, "retention": TaskRetention.TASK_RETENTION_KEEP}
    grammar.check(await pair.one.turn("hello", **kept))
    first, call = await started(pair.one, "/mute", until="started", **kept)
    await pair.two.conversations.Delete(DeleteRequest(conversation_id=made.conversation_id))
    assert (await call.read()).events[-1].ended.reason == CANCELLED
    active = [task for task in (await pair.sandbox.state())["tasks"] if task["status"] != "finished"]
    assert active == []


async def test_a_start_that_is_repeated_at_another_server_runs_once(two: Two) -> None:
    """F1"""
    key = {"idempotency": Idempotency(key="k"), "principal": "ann"}
    first, call = await started(two.one, "/pace 40 20", **key)
    again, other = await started(two.two, "/pace 40 20", **key)
    assert again == first
    whole = await watched(two.one, first.accepted.turn_id)
    assert await watched(two.two, first.accepted.turn_id) == whole
    assert len((await two.sandbox.state())["tasks"]) == 1
    call.cancel()
    other.cancel()


async def test_a_server_that_cannot_be_reached_is_told(tmp_path: Path, postgres_url: str) -> None:
    env = LEASES | {"HOWLER_ADVERTISE_ADDR": "127.0.0.1:1"}
    async with two_servers(tmp_path, postgres_url, users=1, slots=4, env=env) as pair:
        first, call = await started(pair.one, "/mute", until="started")
        turn_id = first.accepted.turn_id
        answer = pb.AnswerQuestionRequest(turn_id=turn_id, question_id="q", decline=True)
        for asked in (
            pair.two.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=turn_id)),
            pair.two.tasks.AnswerQuestion(answer),
            watched(pair.two, turn_id),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await asked
            assert reason_of(raised.value) == "BACKEND_UNAVAILABLE"
        assert (await record(pair.two, turn_id)).task_id == first.accepted.task_id
        stopped = await pair.two.tasks.StopTask(pb.StopTaskRequest(task_id=first.accepted.task_id))
        assert stopped.task.state == pb.TaskState.TASK_STATE_ENDED
        call.cancel()


async def test_watchers_elsewhere_go_on_when_the_owner_is_killed(two: Two) -> None:
    """E3, E6: its durable turns are adopted; nothing is lost, doubled or numbered anew."""
    turns = [await started(two.one, f"/pace 200 {20 + number}") for number in range(6)]
    ids = [first.accepted.turn_id for first, _ in turns]
    relay = OnRelay(two.two)
    await relay.say(watch=WatchTurn(turn_id=ids[0]))
    watching = [asyncio.create_task(watched(two.two, turn_id)) for turn_id in ids]
    await relay.read(until=20)
    async with asyncio.timeout(SECONDS):
        while any([(await record(two.two, turn_id)).last_seq < 20 for turn_id in ids]):
            await asyncio.sleep(0.05)
    two.one.server.signal(signal.SIGKILL)
    await two.one.server.ended()
    late = [asyncio.create_task(watched(two.two, turn_id, after_seq=5)) for turn_id in ids]
    for whole, rest, turn_id in zip(
        await asyncio.gather(*watching), await asyncio.gather(*late), ids, strict=True
    ):
        grammar.check(whole)
        assert text_of(whole) == "".join(f"tok{number} " for number in range(200))
        assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED
        assert rest == whole[5:]
        assert await watched(two.two, turn_id) == whole
    while not relay.events[-1].HasField("ended"):
        await relay.read(until=len(relay.events) + 1)
    assert relay.events == await watched(two.two, ids[0])
    relay.call.cancel()
    assert [len(task["turns"]) for task in (await two.sandbox.state())["tasks"]] == [1] * len(ids)
    await two.one.start_server()
    assert await watched(two.one, ids[1]) == await watched(two.two, ids[1])
