"""P10, issue 5 (Conversations): turns that follow each other with an agent that remembers, over gRPC."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import (
    ConversationState,
    DeleteRequest,
    GetRequest,
    RetellRequest,
)
from howler.pool.v1.pool_service_pb2 import DisableAccountRequest, EnableAccountRequest, RemoveAccountRequest
from howler.task.v1.start_turn_pb2 import BusyPolicy, Message, Role, TaskRetention, Transcript
from howler.task.v1.task_event_pb2 import Continuation, EndReason, NoticeKind, TaskEvent
from howler.task.v1.task_service_pb2 import CancelTurnRequest, StopTaskRequest

from tests.support.conversations import made, shown
from tests.support.howler import Howler, refusal_of, text_of
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
FRESH = Continuation.CONTINUATION_FRESH
RESUMED = Continuation.CONTINUATION_RESUMED
REPLAYED = Continuation.CONTINUATION_REPLAYED
RUNNING = ConversationState.CONVERSATION_STATE_RUNNING
IDLE = ConversationState.CONVERSATION_STATE_IDLE
DORMANT = ConversationState.CONVERSATION_STATE_DORMANT
REFUSE = BusyPolicy.BUSY_POLICY_REFUSE
STOP = TaskRetention.TASK_RETENTION_STOP
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it
NOTICE = NoticeKind.NOTICE_KIND_CONVERSATION_REPLAYED


async def said(howler: Howler, conversation_id: str) -> list[str]:
    got = await howler.conversations.Get(GetRequest(conversation_id=conversation_id, with_history=True))
    return [message.text for message in got.history.messages]


async def prompts(howler: Howler, task_id: str) -> list[str]:
    return [turn["prompt"] for turn in (await howler.sandbox.task(task_id))["turns"]]


def continuation(events: list[TaskEvent]) -> Continuation:
    return events[0].accepted.continuation


def notices(events: list[TaskEvent]) -> list[NoticeKind]:
    return [event.notice.kind for event in events if event.HasField("notice")]


def history(*texts: str) -> Transcript:
    roles = (Role.ROLE_USER, Role.ROLE_ASSISTANT)
    return Transcript(messages=[Message(role=roles[n % 2], text=text) for n, text in enumerate(texts)])


async def test_turns_follow_each_other_on_one_task(howler: Howler) -> None:
    """The first creates and attaches, the later ones say only what is new in mode=new."""
    talk = await made(howler, principal="ann", metadata={"ticket": "4711"})
    fresh = await shown(howler, talk)
    assert (fresh.state, fresh.turns, fresh.task_id, fresh.principal) == (DORMANT, 0, "", "ann")
    assert dict(fresh.metadata) == {"ticket": "4711"}
    first = await howler.turn("remember 4711", conversation_id=talk, principal="ann")
    assert (continuation(first), first[0].accepted.conversation_id) == (FRESH, talk)
    assert first[-1].ended.resumable
    idle = await shown(howler, talk)
    task_id = first[0].accepted.task_id
    assert (idle.state, idle.turns, idle.task_id) == (IDLE, 1, task_id)
    assert (idle.turn_id, idle.model) == (first[0].accepted.turn_id, first[0].accepted.model.id)
    second = await howler.turn("and now?", conversation_id=talk)
    assert (continuation(second), second[0].accepted.task_id) == (RESUMED, task_id)
    assert second[0].accepted.model.id == first[0].accepted.model.id
    assert "before that you said “remember 4711”" in text_of(second)
    assert await prompts(howler, task_id) == ["remember 4711", "and now?"]
    assert [turn["via"] for turn in (await howler.sandbox.task(task_id))["turns"]] == ["create", "new"]
    assert await said(howler, talk) == ["remember 4711", text_of(first), "and now?", text_of(second)]


async def test_only_what_the_conversation_does_not_hold_is_sent(howler: Howler) -> None:
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk)
    whole = history("one", text_of(first), "two")
    second = await howler.turn(messages=whole, conversation_id=talk)
    assert continuation(second) == RESUMED
    assert await prompts(howler, first[0].accepted.task_id) == ["one", "two"]


async def test_what_was_said_before_a_conversation_is_told_to_its_first_agent(howler: Howler) -> None:
    talk = await made(howler, history=history("I am Ann.", "Hello Ann."), instructions="be brief")
    first = await howler.turn("Who am I?", conversation_id=talk)
    assert continuation(first) == REPLAYED
    assert notices(first) == [], "nothing was lost"
    task = await howler.sandbox.task(first[0].accepted.task_id)
    assert "User: I am Ann.\n\nAssistant: Hello Ann." in task["content"]
    assert task["content"].endswith("Who am I?")
    assert task["system_prompt"] == "be brief"
    assert await said(howler, talk) == ["I am Ann.", "Hello Ann.", "Who am I?", text_of(first)]


async def test_other_turns_wait_in_order_or_are_refused(howler: Howler) -> None:
    talk = await made(howler)
    turn = Watched(howler, SLOW, conversation_id=talk)
    await turn.until("text_delta")
    assert (await shown(howler, talk)).state == RUNNING
    assert (await shown(howler, talk)).turn_id == turn.turn_id
    told = await refusal_of(howler.turn("me too", conversation_id=talk, when_busy=REFUSE))
    assert told == ("CONVERSATION_BUSY", grpc.StatusCode.ABORTED)
    waiting = []
    for number in range(3):
        waiting.append(asyncio.create_task(howler.turn(f"next {number}", conversation_id=talk)))
        await asyncio.sleep(0.1)  # so that they come in this order
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    await turn.rest()
    turns = await asyncio.gather(*waiting)
    assert [continuation(events) for events in turns] == [RESUMED] * 3
    assert await prompts(howler, turn.task_id) == [SLOW, "next 0", "next 1", "next 2"]
    assert (await shown(howler, talk)).turns == 4


async def test_whoever_stops_waiting_leaves_the_line(howler: Howler) -> None:
    talk = await made(howler)
    turn = Watched(howler, SLOW, conversation_id=talk)
    await turn.until("text_delta")
    impatient = asyncio.create_task(howler.turn("never said", conversation_id=talk))
    await asyncio.sleep(0.1)
    patient = asyncio.create_task(howler.turn("said", conversation_id=talk))
    await asyncio.sleep(0.1)
    impatient.cancel()
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    await turn.rest()
    assert continuation(await patient) == RESUMED
    assert await prompts(howler, turn.task_id) == [SLOW, "said"]


async def test_a_model_change_keeps_the_task(howler: Howler) -> None:
    """By switch_model over the control socket, with load_session."""
    talk = await made(howler)
    first = await howler.turn("remember 4711", conversation_id=talk, model="glm-5")
    assert first[0].accepted.model.id == "monkeycode/SiliconFlow/glm-5"
    second = await howler.turn("and now?", conversation_id=talk, model="deepseek-v4")
    task_id = first[0].accepted.task_id
    assert (continuation(second), second[0].accepted.task_id) == (RESUMED, task_id)
    assert second[0].accepted.model.id == "monkeycode/DeepSeek/deepseek-v4"
    assert "before that you said “remember 4711”" in text_of(second)
    assert (await howler.sandbox.task(task_id))["model"] == "DeepSeek/deepseek-v4"
    assert (await howler.task(task_id)).model.endswith("deepseek-v4")
    third = await howler.turn("still?", conversation_id=talk)
    assert (third[0].accepted.model.id, continuation(third)) == (second[0].accepted.model.id, RESUMED)
    calls = [frame for frame in (await howler.sandbox.state())["frames"] if "switch_model" in frame["frame"]]
    assert [call["task_id"] for call in calls if call["task_id"] == task_id] == [task_id]


async def test_a_model_that_the_task_cannot_change_to_is_another_task(howler: Howler) -> None:
    talk = await made(howler)
    first = await howler.turn("remember 4711", conversation_id=talk, model="glm-5")
    await howler.sandbox.faults(control={"cut_after_frames": 0, "cut": "rst", "sockets": 1})
    second = await howler.turn("and now?", conversation_id=talk, model="deepseek-v4")
    await howler.sandbox.reset()
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])
    old, new = first[0].accepted.task_id, second[0].accepted.task_id
    assert old != new
    task = await howler.sandbox.task(new)
    assert f"User: remember 4711\n\nAssistant: {text_of(first)}" in task["content"]
    assert task["model"] == "DeepSeek/deepseek-v4"
    assert await eventually(lambda: _finished(howler, old)), "the one that it left is stopped"
    assert continuation(await howler.turn("go on", conversation_id=talk)) == RESUMED


async def _finished(howler: Howler, task_id: str) -> bool:
    return bool((await howler.sandbox.task(task_id))["status"] == "finished")


async def test_other_instructions_are_another_task(howler: Howler) -> None:
    talk = await made(howler, instructions="be brief")
    first = await howler.turn("one", conversation_id=talk)
    same = await howler.turn("two", conversation_id=talk, instructions="be brief")
    other = await howler.turn("three", conversation_id=talk, instructions="be long")
    assert [continuation(events) for events in (first, same, other)] == [FRESH, RESUMED, REPLAYED]
    assert (await howler.sandbox.task(other[0].accepted.task_id))["system_prompt"] == "be long"
    assert continuation(await howler.turn("four", conversation_id=talk)) == RESUMED


async def test_a_stopped_task_leaves_its_conversation_dormant(howler: Howler) -> None:
    """It goes on in a new task, which is told what was said; the caller is told that it does."""
    talk = await made(howler)
    first = await howler.turn("remember 4711", conversation_id=talk)
    await howler.tasks.StopTask(StopTaskRequest(task_id=first[0].accepted.task_id))
    dormant = await shown(howler, talk)
    assert (dormant.state, dormant.task_id, dormant.turns) == (DORMANT, "", 1)
    second = await howler.turn("and now?", conversation_id=talk)
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])
    content = (await howler.sandbox.task(second[0].accepted.task_id))["content"]
    assert f"User: remember 4711\n\nAssistant: {text_of(first)}" in content
    assert content.endswith("and now?")
    assert continuation(await howler.turn("third", conversation_id=talk)) == RESUMED
    assert (await shown(howler, talk)).turns == 3
    assert (await said(howler, talk))[::2] == ["remember 4711", "and now?", "third"]


async def test_a_task_that_the_platform_ended_or_lost(howler: Howler) -> None:
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk)
    await howler.sandbox.faults(machines={"kill": [first[0].accepted.task_id]})
    second = await howler.turn("two", conversation_id=talk)
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])
    assert await eventually(lambda: _finished(howler, first[0].accepted.task_id))


async def test_a_sleeping_vm_is_woken_before_it_is_spoken_to(howler: Howler) -> None:
    """§8: the control socket resumes it; a prompt that it sleeps through is lost without a word."""
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk)
    task_id = first[0].accepted.task_id
    await howler.sandbox.faults(machines={"hibernate": [task_id]})
    assert (await howler.sandbox.task(task_id))["vm"] == "hibernated"
    second = await howler.turn("two", conversation_id=talk)
    assert (continuation(second), second[0].accepted.task_id) == (RESUMED, task_id)
    assert await prompts(howler, task_id) == ["one", "two"]
    assert await eventually(lambda: _no_control_socket(howler, task_id))
    await howler.sandbox.faults(machines={"hibernate": [task_id]})
    alone = await howler.turn("three", task_id=task_id)
    assert alone[-1].ended.reason == EndReason.END_REASON_COMPLETED, "the same without a conversation"


async def _no_control_socket(howler: Howler, task_id: str) -> bool:
    return bool((await howler.sandbox.task(task_id))["control_sockets"] == 0)


async def test_an_account_that_is_disabled_is_left(howler: Howler) -> None:
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk)
    task = await howler.task(first[0].accepted.task_id)
    await howler.pool.DisableAccount(DisableAccountRequest(account_id=task.account_id))
    second = await howler.turn("two", conversation_id=talk)
    await howler.pool.EnableAccount(EnableAccountRequest(account_id=task.account_id))
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])
    other = await howler.task(second[0].accepted.task_id)
    assert other.account_id != task.account_id


async def test_an_account_that_was_removed_took_its_agents_along(howler: Howler) -> None:
    """Another account's agent is told all that was said, and the caller that it is another."""
    talk = await made(howler)
    first = await howler.turn("remember 4711", conversation_id=talk)
    task = await howler.task(first[0].accepted.task_id)
    await howler.pool.RemoveAccount(RemoveAccountRequest(account_id=task.account_id))
    second = await howler.turn("and now?", conversation_id=talk)
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])
    content = (await howler.sandbox.task(second[0].accepted.task_id))["content"]
    assert f"User: remember 4711\n\nAssistant: {text_of(first)}" in content
    assert continuation(await howler.turn("third", conversation_id=talk)) == RESUMED


async def test_a_turn_beside_the_conversation_makes_its_agent_a_stranger(howler: Howler) -> None:
    """What was said to its task by name the conversation does not hold."""
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk)
    await howler.turn("beside", task_id=first[0].accepted.task_id)
    second = await howler.turn("two", conversation_id=talk)
    assert continuation(second) == REPLAYED
    assert "beside" not in (await howler.sandbox.task(second[0].accepted.task_id))["content"]


@pytest.mark.parametrize(("storage", "goes_on"), [("true", RESUMED), ("false", REPLAYED)])
async def test_a_message_that_no_frame_holds(tmp_path: Path, storage: str, goes_on: Continuation) -> None:
    """§6.4: about 18 kB fit a frame. Where the platform has no storage for more, a new task takes it."""
    sandbox = {"HOWLER_SANDBOX_STORAGE": storage}
    async with Howler(tmp_path, facade=False, sandbox_env=sandbox) as howler:
        talk = await made(howler)
        await howler.turn("one", conversation_id=talk)
        second = await howler.turn("x" * 30_000, conversation_id=talk)
        assert (continuation(second), second[-1].ended.reason) == (
            goes_on,
            EndReason.END_REASON_COMPLETED,
        )
        assert "x" * 30_000 in await said(howler, talk)


async def test_a_turn_that_is_cancelled_is_part_of_what_was_said(howler: Howler) -> None:
    talk = await made(howler)
    turn = Watched(howler, SLOW, conversation_id=talk)
    await turn.until("text_delta")
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    events = await turn.rest()
    assert (await said(howler, talk)) == [SLOW, text_of(events)]
    assert continuation(await howler.turn("go on", conversation_id=talk)) == RESUMED


async def test_a_conversation_whose_task_is_stopped_each_time(howler: Howler) -> None:
    talk = await made(howler)
    first = await howler.turn("one", conversation_id=talk, retention=STOP)
    assert not first[-1].ended.resumable
    assert (await shown(howler, talk)).state == DORMANT
    second = await howler.turn("two", conversation_id=talk)
    assert (continuation(second), notices(second)) == (REPLAYED, [NOTICE])


async def test_a_conversation_is_recognised_by_what_its_caller_was_told(howler: Howler) -> None:
    """Retell: a caller that made something else of the answer sends that back."""
    bob: dict[str, Any] = {"recognise_history": True, "principal": "bob"}
    first = (await howler.turn(messages=history("hello"), **bob))[0].accepted
    told = RetellRequest(
        conversation_id=first.conversation_id,
        principal="bob",
        turn_id=first.turn_id,
        history=history("hello", "a call"),
    )
    await howler.conversations.Retell(told)
    second = await howler.turn(messages=history("hello", "a call", "go on"), **bob)
    assert (continuation(second), second[0].accepted.conversation_id) == (RESUMED, first.conversation_id)
    told.principal = "ann"
    missing = ("CONVERSATION_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    assert await refusal_of(howler.conversations.Retell(told)) == missing
    assert await refusal_of(howler.conversations.Retell(RetellRequest(conversation_id="conv_0"))) == missing


async def test_delete_ends_the_turn_and_the_task(howler: Howler) -> None:
    talk = await made(howler)
    await howler.turn("one", conversation_id=talk)
    turn = Watched(howler, SLOW, conversation_id=talk)
    await turn.until("text_delta")
    await howler.conversations.Delete(DeleteRequest(conversation_id=talk))
    ended = (await turn.rest())[-1].ended
    assert (ended.reason, ended.resumable) == (EndReason.END_REASON_CANCELLED, False)
    assert await _finished(howler, turn.task_id)
    missing = ("CONVERSATION_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    assert await refusal_of(howler.conversations.Get(GetRequest(conversation_id=talk))) == missing
    assert await refusal_of(howler.turn("more", conversation_id=talk)) == missing
    await howler.conversations.Delete(DeleteRequest(conversation_id=talk))


async def test_a_caller_names_its_conversation(howler: Howler) -> None:
    """StartTurn.session: the same conversation each time, one per principal, which keeps what was said."""
    first = await howler.turn("named 4711", session="s", principal="ann")
    second = await howler.turn("and now?", session="s", principal="ann")
    other = await howler.turn("somebody else's", session="s", principal="bob")
    talk = first[0].accepted.conversation_id
    assert (continuation(first), continuation(second), continuation(other)) == (FRESH, RESUMED, FRESH)
    assert second[0].accepted.conversation_id == talk != other[0].accepted.conversation_id
    assert (await shown(howler, talk)).session == "s"
    await howler.tasks.StopTask(StopTaskRequest(task_id=first[0].accepted.task_id))
    third = await howler.turn("and after that?", session="s", principal="ann")
    assert (continuation(third), third[0].accepted.conversation_id) == (REPLAYED, talk)
    assert "named 4711" in (await prompts(howler, third[0].accepted.task_id))[0]


async def test_two_that_name_a_new_conversation_at_once_mean_one(howler: Howler) -> None:
    turns = await asyncio.gather(*(howler.turn(f"at once {n}", session="new", principal="c") for n in "12"))
    assert len({turn[0].accepted.conversation_id for turn in turns}) == 1
    assert sorted(map(continuation, turns)) == [FRESH, RESUMED]
