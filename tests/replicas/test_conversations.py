"""Issue 5: conversations at two servers on one PostgreSQL. What the store says decides who may speak."""

import asyncio
from pathlib import Path

import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import ConversationState, CreateRequest, GetRequest
from howler.task.v1.start_turn_pb2 import BusyPolicy, Durability, Message, Role, TaskRetention, Transcript
from howler.task.v1.task_event_pb2 import Continuation
from howler.task.v1.task_service_pb2 import CancelTurnRequest, StopTaskRequest

from tests.replicas.test_replicas import two_servers
from tests.support.howler import reason_of, text_of
from tests.support.watched import Watched

RESUMED = Continuation.CONTINUATION_RESUMED
REPLAYED = Continuation.CONTINUATION_REPLAYED
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it


async def test_a_conversation_is_one_at_both(tmp_path: Path, postgres_url: str) -> None:
    """Its turns run where they are started, one at a time; others wait or are refused at either server."""
    async with two_servers(tmp_path, postgres_url, users=2, slots=4) as running:
        made = await running.one.conversations.Create(CreateRequest())
        talk = made.conversation.conversation_id
        turn = Watched(running.one, SLOW, conversation_id=talk)
        await turn.until("text_delta")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.two.turn("me too", conversation_id=talk, when_busy=BusyPolicy.BUSY_POLICY_REFUSE)
        assert reason_of(refused.value) == "CONVERSATION_BUSY"
        waiting = asyncio.create_task(running.two.turn("then I", conversation_id=talk))
        await asyncio.sleep(0.2)
        await running.one.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
        await turn.rest()
        events = await waiting
        assert (events[0].accepted.continuation, events[0].accepted.task_id) == (RESUMED, turn.task_id)
        (task,) = (await running.sandbox.state())["tasks"]
        assert [one["prompt"] for one in task["turns"]] == [SLOW, "then I"]


async def test_one_new_task_is_made_of_a_conversation_whose_own_is_gone(
    tmp_path: Path, postgres_url: str
) -> None:
    """Two turns at two servers find it dormant at once: one claims it, the other follows on the same task."""
    async with two_servers(tmp_path, postgres_url, users=2, slots=4) as running:
        made = await running.one.conversations.Create(CreateRequest())
        talk = made.conversation.conversation_id
        first = await running.one.turn("one", conversation_id=talk)
        await running.two.tasks.StopTask(StopTaskRequest(task_id=first[0].accepted.task_id))
        both = [howler.turn("both", conversation_id=talk) for howler in running.both]
        turns = await asyncio.gather(*both)
        assert sorted(events[0].accepted.continuation for events in turns) == [RESUMED, REPLAYED]
        assert len({events[0].accepted.task_id for events in turns}) == 1
        shown = (await running.two.conversations.Get(GetRequest(conversation_id=talk))).conversation
        assert (shown.turns, shown.state) == (3, ConversationState.CONVERSATION_STATE_IDLE)


async def test_a_history_is_recognised_at_either(tmp_path: Path, postgres_url: str) -> None:
    async with two_servers(tmp_path, postgres_url, users=2, slots=4) as running:
        said: list[Message] = []
        tasks = set()
        for number in range(4):
            said.append(Message(role=Role.ROLE_USER, text=f"message {number}"))
            events = await running.both[number % 2].turn(
                messages=Transcript(messages=said),
                recognise_history=True,
                retention=TaskRetention.TASK_RETENTION_KEEP,
                durability=Durability.DURABILITY_EPHEMERAL,
            )
            said.append(Message(role=Role.ROLE_ASSISTANT, text=text_of(events)))
            tasks.add(events[0].accepted.task_id)
        assert len(tasks) == 1
        (task,) = (await running.sandbox.state())["tasks"]
        assert [one["prompt"] for one in task["turns"]] == [f"message {number}" for number in range(4)]
