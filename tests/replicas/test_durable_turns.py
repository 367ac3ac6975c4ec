"""Issue 5, durability: a server is killed with turns running, and started again (E3)."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import CreateRequest, GetRequest
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import RemoveAccountRequest
from howler.task.v1.start_turn_pb2 import (
    Attempt,
    DetachAction,
    Durability,
    Idempotency,
    OnDetach,
    QuestionPolicy,
    StartTurn,
    TaskRetention,
)
from howler.task.v1.task_event_pb2 import Answer, Continuation, EndReason, QuestionResolution, TaskEvent
from howler.task.v1.task_service_pb2 import (
    AnswerQuestionRequest,
    GetTaskRequest,
    GetTurnRequest,
    GetTurnResponse,
    StreamRequest,
    TurnRecord,
)

from server.pool.account import TaskId
from server.store.open import store_at
from tests.support import grammar
from tests.support.howler import Howler, reason_of, text_of, watched
from tests.support.keys import KEYS, ring
from tests.support.sandbox import accounts

SECONDS = 60.0  # a test that waits for longer has failed
STOP = TaskRetention.TASK_RETENTION_STOP
KEPT = TaskRetention.TASK_RETENTION_KEEP
SHORT = {
    "HOWLER_LEASE_TTL": "6",
    "HOWLER_LEASE_RENEW": "1",
    "HOWLER_LEASE_MARGIN": "1",
    "HOWLER_LEASE_RECLAIM": "0.5",
}
"""On PostgreSQL a lease says who is alive; it is no shorter than what a busy machine keeps."""
FULL = float(os.environ.get("HOWLER_TEST_SECONDS", "0")) > 60
TOKENS = 300
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

    async def has(self, count: int) -> None:
        """Return once so many events were read."""
        async with asyncio.timeout(SECONDS):
            while len(self.events) < count:
                await asyncio.sleep(0.01)

    async def record(self) -> TurnRecord:
        """Ask what became of it."""
        found = await self._howler.tasks.GetTurn(GetTurnRequest(turn_id=self.id))
        assert isinstance(found, GetTurnResponse)
        return found.turn

    async def told(self, after_seq: int = 0, **watch: Any) -> list[TaskEvent]:
        """Watch the turn anew."""
        return await watched(self._howler, self.id, after_seq, **watch)


async def test_a_turn_that_had_ended_is_told_again_after_a_kill(howler: Howler) -> None:
    turns = [Turn(howler, prompt) for prompt in ("/all", "/burst 3000", "/tools", "hello")]
    await asyncio.gather(*(turn.read() for turn in turns))
    record = await turns[0].record()
    await howler.kill_server()
    await howler.start_server()
    for turn in turns:
        assert await turn.told() == turn.events
        assert await turn.told(after_seq=3) == turn.events[3:]
        assert await turn.told(after_seq=len(turn.events)) == []
    assert await turns[0].record() == record


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


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/howler.db"
    named: str = request.getfixturevalue("postgres_url")
    return named


async def test_turns_that_ran_are_adopted_and_nothing_is_lost(tmp_path: Path, database: str) -> None:
    """E3: 50 of them (on PostgreSQL in `make test-full`); whoever comes back gets the exact rest."""
    env = {**SHORT, "HOWLER_DATABASE_URL": database}
    count = 50 if FULL or "sqlite" in database else 6
    async with Howler(tmp_path, facade=False, env=env) as howler:
        await killed_in_the_middle(howler, [f"/pace {TOKENS} {25 + number % 10}" for number in range(count)])


async def killed_in_the_middle(howler: Howler, prompts: list[str]) -> None:
    turns = [Turn(howler, prompt) for prompt in prompts]
    readings = [asyncio.create_task(turn.read()) for turn in turns]
    await asyncio.gather(*(turn.has(10 + number % 30) for number, turn in enumerate(turns)))
    await howler.kill_server()
    await asyncio.gather(*readings)
    assert not any(turn.events[-1].HasField("ended") for turn in turns)
    await howler.start_server()
    async with asyncio.timeout(SECONDS):
        rests = await asyncio.gather(*(turn.told(after_seq=len(turn.events)) for turn in turns))
    for turn, rest in zip(turns, rests, strict=True):
        whole = turn.events + rest
        grammar.check(whole)
        assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED
        assert text_of(whole) == "".join(f"tok{number} " for number in range(TOKENS))
        assert await turn.told() == whole
        record = await turn.record()
        assert (record.end_reason, record.last_seq) == (EndReason.END_REASON_COMPLETED, len(whole))
    tasks = (await howler.sandbox.state())["tasks"]
    assert [len(task["turns"]) for task in tasks] == [1] * len(turns)


async def test_a_turn_that_ended_while_nobody_looked_is_told_whole(howler: Howler) -> None:
    turn = Turn(howler, "/pace 60 20")
    reading = asyncio.create_task(turn.read())
    await turn.has(10)
    await howler.kill_server()
    await reading
    async with asyncio.timeout(SECONDS):
        while not all(
            one["ending"] for task in (await howler.sandbox.state())["tasks"] for one in task["turns"]
        ):
            await asyncio.sleep(0.1)
    await howler.start_server()
    async with asyncio.timeout(SECONDS):
        whole = turn.events + await turn.told(after_seq=len(turn.events))
    grammar.check(whole)
    assert text_of(whole) == "".join(f"tok{number} " for number in range(60))
    assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def until_asked(turn: Turn) -> None:
    """Wait until the agent has asked a question."""
    while not (turn.events and turn.events[-1].HasField("question")):
        await asyncio.sleep(0.01)


async def stopped(howler: Howler, task_id: str) -> None:
    """Stop a task on the platform, which says nothing of it on its stream."""
    await howler.sandbox.faults(platform={"silent_stop": True})
    task = await howler.sandbox.task(task_id)
    (account,) = (one for one in accounts() if one["email"] == task["account"])
    cookie = {"monkeycode_ai_session": account["cookie"]}
    async with (
        aiohttp.ClientSession(howler.sandbox.url, cookies=cookie) as http,
        http.put("/api/v1/users/tasks/stop", json={"id": task_id}) as answer,
    ):
        assert (await answer.json())["code"] == 0


async def test_a_turn_whose_task_is_gone_ends_with_all_that_is_open_closed(howler: Howler) -> None:
    turn = Turn(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    reading = asyncio.create_task(turn.read())
    await until_asked(turn)
    await howler.kill_server()
    await reading
    await stopped(howler, turn.events[0].accepted.task_id)
    await howler.start_server()
    async with asyncio.timeout(SECONDS):
        whole = turn.events + await turn.told(after_seq=len(turn.events))
    grammar.check(whole)
    assert whole[-1].ended.reason == EndReason.END_REASON_FAILED
    assert whole[-1].ended.error == ErrorReason.ERROR_REASON_TASK_ENDED
    assert whole[-2].question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_EXPIRED


async def test_a_question_may_be_answered_after_a_kill(howler: Howler) -> None:
    turn = Turn(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    reading = asyncio.create_task(turn.read())
    await until_asked(turn)
    asked = turn.events[-1].question
    await howler.kill_server()
    await reading
    await howler.start_server()
    label = asked.items[0].options[-1].label
    answer = AnswerQuestionRequest(
        turn_id=turn.id,
        question_id=asked.question_id,
        answers=[Answer(text=item.text, values=[item.options[-1].label]) for item in asked.items],
    )
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await howler.tasks.AnswerQuestion(answer)
                break
            except grpc.aio.AioRpcError as error:  # it is being adopted
                if reason_of(error) not in ("TURN_NOT_FOUND", "QUESTION_NOT_FOUND"):
                    raise
            await asyncio.sleep(0.05)
        whole = turn.events + await turn.told(after_seq=len(turn.events))
    grammar.check(whole)
    assert label in text_of(whole)
    assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def test_a_turn_that_nobody_comes_back_to_is_left_to_its_on_detach(tmp_path: Path) -> None:
    env = {"HOWLER_DISCONNECT_GRACE": "0.5"}
    async with Howler(tmp_path, facade=False, env=env) as howler:
        turn = Turn(howler, "/mute", on_detach=OnDetach(action=DetachAction.DETACH_ACTION_CANCEL))
        reading = asyncio.create_task(turn.read())
        await turn.has(2)
        await howler.kill_server()
        await reading
        await howler.start_server()
        async with asyncio.timeout(SECONDS):
            while (await turn.record()).end_reason != EndReason.END_REASON_CANCELLED:
                await asyncio.sleep(0.1)
        grammar.check(await turn.told())


async def test_a_task_that_boots_is_waited_for_after_a_kill(tmp_path: Path) -> None:
    async with Howler(tmp_path, facade=False, sandbox_env={"HOWLER_SANDBOX_BOOT_MS": "6000"}) as howler:
        turn = Turn(howler, "hello")
        reading = asyncio.create_task(turn.read())
        await turn.has(1)
        await howler.kill_server()
        await reading
        await howler.start_server()
        async with asyncio.timeout(SECONDS):
            whole = turn.events + await turn.told(after_seq=len(turn.events))
        grammar.check(whole)
        assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def test_a_conversation_remembers_a_turn_that_was_adopted(howler: Howler) -> None:
    conversations = ConversationServiceStub(howler.channel)
    made = await conversations.Create(CreateRequest())
    name = made.conversation.conversation_id
    first = await howler.turn("first", conversation_id=name)
    turn = Turn(howler, "/pace 100 20", conversation_id=name, retention=KEPT)
    reading = asyncio.create_task(turn.read())
    await turn.has(20)
    await howler.kill_server()
    await reading
    await howler.start_server()
    async with asyncio.timeout(SECONDS):
        whole = turn.events + await turn.told(after_seq=len(turn.events))
    grammar.check(whole)
    assert whole[-1].ended.resumable
    third = await howler.turn("third", conversation_id=name)
    assert third[0].accepted.task_id == first[0].accepted.task_id
    assert third[0].accepted.continuation == Continuation.CONTINUATION_RESUMED
    assert "before that you said “first” and “/pace 100 20”" in text_of(third)
    shown = (await conversations.Get(GetRequest(conversation_id=name))).conversation
    assert (shown.turns, shown.turn_id) == (3, third[0].accepted.turn_id)


async def test_a_turn_that_nothing_holds_any_more_is_ended(tmp_path: Path) -> None:
    """Its task ended and its lease with it, but its process died before it told so."""
    env = {"HOWLER_TURN_RETENTION": "20", "HOWLER_SECRETS_KEY": KEYS[0]}  # a sweep every 5 s
    async with Howler(tmp_path, facade=False, env=env) as howler:
        turn = Turn(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
        reading = asyncio.create_task(turn.read())
        await until_asked(turn)
        await howler.kill_server()
        await reading
        async with store_at(f"sqlite:///{tmp_path}/howler.db", ring()) as store:
            await store.end_task(TaskId(turn.events[0].accepted.task_id), 1)
        await howler.start_server()
        async with asyncio.timeout(SECONDS):
            whole = turn.events + await turn.told(after_seq=len(turn.events))
    grammar.check(whole)
    assert whole[-2].question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_EXPIRED
    assert whole[-1].ended.reason == EndReason.END_REASON_FAILED
    assert whole[-1].ended.error == ErrorReason.ERROR_REASON_TASK_ENDED


async def test_a_turn_whose_account_was_removed_is_ended(tmp_path: Path) -> None:
    """While the platform is away its task cannot be stopped; nobody can go on with the turn."""
    env = {"HOWLER_TURN_RETENTION": "8"}  # a sweep every 2 s
    async with Howler(tmp_path, facade=False, env=env) as howler:
        turn = Turn(howler, "/mute")
        reading = asyncio.create_task(turn.read())
        await turn.has(2)
        await howler.sandbox.faults(routes=[{"path": "*/tasks/stop", "times": 1000, "status": 502}])
        shown = await howler.tasks.GetTask(GetTaskRequest(task_id=turn.events[0].accepted.task_id))
        await howler.pool.RemoveAccount(RemoveAccountRequest(account_id=shown.task.account_id))
        async with asyncio.timeout(SECONDS):
            await reading
            while (await turn.record()).end_reason != EndReason.END_REASON_FAILED:
                await asyncio.sleep(0.1)
            whole = await turn.told()
    grammar.check(whole)
    assert whole[-1].ended.error == ErrorReason.ERROR_REASON_TASK_ENDED
