"""P10, issue 5 (Stateless clients): a history that is sent whole finds its conversation, over gRPC."""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from howler.conversation.v1.conversation_service_pb2 import GetRequest
from howler.pool.v1.pool_service_pb2 import RemoveAccountRequest
from howler.task.v1.start_turn_pb2 import Durability, Message, Role, TaskRetention, Transcript
from howler.task.v1.task_event_pb2 import Continuation, NoticeKind, TaskEvent
from howler.task.v1.task_service_pb2 import CancelTurnRequest, StopTaskRequest

from tests.support.howler import Howler, text_of
from tests.support.watched import Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
FRESH = Continuation.CONTINUATION_FRESH
RESUMED = Continuation.CONTINUATION_RESUMED
REPLAYED = Continuation.CONTINUATION_REPLAYED
EPHEMERAL = Durability.DURABILITY_EPHEMERAL
KEEP = TaskRetention.TASK_RETENTION_KEEP
NOTICE = NoticeKind.NOTICE_KIND_CONVERSATION_REPLAYED
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it


class Chat:
    """A client without memory: it sends all that was said each time."""

    def __init__(self, howler: Howler, **start: Any) -> None:
        self.howler = howler
        self.said: list[Message] = []
        self.start = {"durability": EPHEMERAL, "retention": KEEP, "recognise_history": True} | start

    async def say(self, text: str, **start: Any) -> list[TaskEvent]:
        """Say something and take the answer down."""
        self.said.append(Message(role=Role.ROLE_USER, text=text))
        events = await self.howler.turn(messages=Transcript(messages=self.said), **(self.start | start))
        self.said.append(Message(role=Role.ROLE_ASSISTANT, text=text_of(events)))
        return events


def told(events: Sequence[TaskEvent]) -> tuple[Continuation, str]:
    """Return how a turn went on, and on which task."""
    return events[0].accepted.continuation, events[0].accepted.task_id


def notices(events: Sequence[TaskEvent]) -> list[NoticeKind]:
    return [event.notice.kind for event in events if event.HasField("notice")]


async def prompts(howler: Howler, task_id: str) -> list[str]:
    task = await howler.sandbox.task(task_id)
    return [turn["prompt"] for turn in task["turns"]]


async def test_only_the_new_message_is_sent_to_the_agent_that_remembers(howler: Howler) -> None:
    chat = Chat(howler, principal="one")
    first = await chat.say("remember 4711")
    continuation, task_id = told(first)
    assert continuation == FRESH
    for number in range(3):
        assert told(await chat.say(f"turn {number}")) == (RESUMED, task_id)
    assert await prompts(howler, task_id) == ["remember 4711", "turn 0", "turn 1", "turn 2"]
    talk = first[0].accepted.conversation_id
    kept = await howler.conversations.Get(GetRequest(conversation_id=talk, with_history=True))
    assert (kept.conversation.turns, kept.conversation.principal) == (4, "one")
    assert not kept.history.messages, "an EPHEMERAL chat's words are its client's to keep"


async def test_how_a_client_spells_white_space_changes_nothing(howler: Howler) -> None:
    chat = Chat(howler, principal="spells")
    _, task_id = told(await chat.say("  hello\r\n"))
    answer = chat.said[-1].text
    chat.said[0].text = "hello"
    chat.said[-1:] = [
        Message(role=Role.ROLE_ASSISTANT, text=answer[:7]),
        Message(role=Role.ROLE_ASSISTANT, text=answer[7:] + "\n"),
    ]
    assert told(await chat.say("again")) == (RESUMED, task_id)


@pytest.mark.parametrize("lag_ms", [0, 300])
async def test_an_answer_whose_stream_was_lost_is_recognised(howler: Howler, lag_ms: int) -> None:
    """What was told before the loss, what the replay added and what came behind it are one answer."""
    chat = Chat(howler, principal=f"lost {lag_ms}")
    stream = {"sockets": 1, "cut_after_frames": 7}
    await howler.sandbox.faults(stream=stream, platform={"ingest_lag_ms": lag_ms})
    _, task_id = told(await chat.say("/pace 60 20"))
    await howler.sandbox.reset()
    assert chat.said[-1].text == "".join(f"tok{number} " for number in range(60))
    assert told(await chat.say("again")) == (RESUMED, task_id)


@pytest.mark.parametrize("change", ["edited", "answer edited", "shortened", "branched", "regenerated"])
async def test_a_history_that_was_changed_gets_an_agent_of_its_own(howler: Howler, change: str) -> None:
    """Its agent is told what the client says was said, and the other one hears nothing of it."""
    chat = Chat(howler, principal=change)
    _, task_id = told(await chat.say("one"))
    await chat.say("two")
    newest = "three"
    match change:
        case "edited":
            chat.said[0].text = "uno"
        case "answer edited":
            chat.said[1].text += " And more."
        case "shortened":
            del chat.said[:2]
        case "branched":
            del chat.said[2:]
        case "regenerated":
            del chat.said[2:]
            newest = "two"
    before = [message.text for message in chat.said]
    events = await chat.say(newest)
    continuation, other = told(events)
    assert (continuation, notices(events)) == (REPLAYED, [])
    assert other != task_id
    assert await prompts(howler, task_id) == ["one", "two"]
    (prompt,) = await prompts(howler, other)
    assert all(text in prompt for text in before)
    assert prompt.endswith(newest)
    assert told(await chat.say("four")) == (RESUMED, other)


async def test_others_find_nothing(howler: Howler) -> None:
    """A conversation is of one principal, one model and one set of instructions."""
    chat = Chat(howler, principal="mine", instructions="be brief", model="glm-5")
    _, task_id = told(await chat.say("one"))
    for change in ({"principal": "theirs"}, {"instructions": "be long"}, {"model": "deepseek-v4"}):
        other = Chat(howler, **{**chat.start, **change})
        other.said = [*chat.said]
        assert told(await other.say("two"))[0] == REPLAYED
    assert told(await chat.say("two")) == (RESUMED, task_id)


async def test_chats_with_the_same_beginning_are_not_mixed_up(howler: Howler) -> None:
    """Said at once, word for word, by the same caller: each has its own agent, again and again."""
    chats = [Chat(howler, principal="twins") for _ in range(4)]
    first = [told(events) for events in await asyncio.gather(*(chat.say("hello") for chat in chats))]
    assert [continuation for continuation, _ in first] == [FRESH] * 4
    assert len({chat.said[-1].text for chat in chats}) == 1, "nothing tells them apart"
    second = [told(events) for events in await asyncio.gather(*(chat.say("and?") for chat in chats))]
    assert [continuation for continuation, _ in second] == [RESUMED] * 4
    assert {task_id for _, task_id in second} == {task_id for _, task_id in first}
    third = await asyncio.gather(*(chat.say(f"I am {number}") for number, chat in enumerate(chats)))
    assert len({told(events) for events in third}) == 4
    fourth = await asyncio.gather(*(chat.say("who?") for chat in chats))
    for number, (before, after) in enumerate(zip(third, fourth, strict=True)):
        assert told(after) == told(before)
        assert f"“I am {number}”" in text_of(after)


async def test_a_conversation_in_which_a_turn_runs_is_not_disturbed(howler: Howler) -> None:
    chat = Chat(howler, principal="busy")
    await chat.say("one")
    turn = Watched(howler, "", messages=Transcript(messages=[*chat.said, Message(text=SLOW)]), **chat.start)
    await turn.until("text_delta")
    assert turn.events[0].accepted.continuation == RESUMED
    other = Chat(howler, principal="busy")
    other.said = [*chat.said]
    continuation, task_id = told(await other.say("two"))
    assert continuation == REPLAYED
    assert task_id != turn.task_id
    await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    events = await turn.rest()
    chat.said += [Message(text=SLOW), Message(role=Role.ROLE_ASSISTANT, text=text_of(events))]
    assert told(await chat.say("go on")) == (RESUMED, turn.task_id), "what the client saw was said"


async def test_a_task_that_is_gone_is_told_of(howler: Howler) -> None:
    """The same conversation goes on in a new task: from the history that the client sent."""
    chat = Chat(howler, principal="gone")
    first = await chat.say("one")
    await howler.tasks.StopTask(StopTaskRequest(task_id=told(first)[1]))
    second = await chat.say("two")
    assert (told(second)[0], notices(second)) == (REPLAYED, [NOTICE])
    assert second[0].accepted.conversation_id == first[0].accepted.conversation_id
    (prompt,) = await prompts(howler, told(second)[1])
    assert f"User: one\n\nAssistant: {text_of(first)}" in prompt
    assert told(await chat.say("three")) == (RESUMED, told(second)[1])


async def test_an_account_that_was_removed_is_told_of(howler: Howler) -> None:
    chat = Chat(howler, principal="removed")
    _, task_id = told(await chat.say("remember 4711"))
    account_id = (await howler.task(task_id)).account_id
    await howler.pool.RemoveAccount(RemoveAccountRequest(account_id=account_id))
    events = await chat.say("and now?")
    continuation, other = told(events)
    assert (continuation, notices(events)) == (REPLAYED, [NOTICE])
    (prompt,) = await prompts(howler, other)
    assert "remember 4711" in prompt
    assert told(await chat.say("third")) == (RESUMED, other)


async def test_one_that_is_named_and_keeps_no_words_needs_them_all(howler: Howler) -> None:
    chat = Chat(howler, principal="named")
    first = await chat.say("one")
    talk = first[0].accepted.conversation_id
    named = await howler.turn("two", conversation_id=talk)
    assert told(named) == (RESUMED, told(first)[1])
    await howler.tasks.StopTask(StopTaskRequest(task_id=told(first)[1]))
    chat.said += [Message(text="two"), Message(role=Role.ROLE_ASSISTANT, text=text_of(named))]
    messages = Transcript(messages=[*chat.said, Message(text="three")])
    whole = await howler.turn(messages=messages, conversation_id=talk)
    assert (told(whole)[0], notices(whole)) == (REPLAYED, [NOTICE])


async def test_a_durable_turn_keeps_what_was_said(howler: Howler) -> None:
    chat = Chat(howler, principal="durable", durability=Durability.DURABILITY_DURABLE)
    chat.said = [Message(text="before"), Message(role=Role.ROLE_ASSISTANT, text="yes")]
    first = await chat.say("one")
    assert told(first)[0] == REPLAYED
    second = await chat.say("two")
    assert told(second)[0] == RESUMED
    talk = first[0].accepted.conversation_id
    kept = (await howler.conversations.Get(GetRequest(conversation_id=talk, with_history=True))).history
    assert [message.text for message in kept.messages] == [message.text for message in chat.said]
    await howler.tasks.StopTask(StopTaskRequest(task_id=told(first)[1]))
    assert told(await howler.turn("three", conversation_id=talk))[0] == REPLAYED


async def test_a_restarted_server_knows_them(tmp_path: Path) -> None:
    async with Howler(tmp_path, facade=False) as before:
        chat = Chat(before)
        _, task_id = told(await chat.say("remember 4711"))
        before.server.signal(signal.SIGTERM)
        await before.server.ended()
        settings = {"HOWLER_ACCOUNTS_FILE": str(Path(__file__).parents[2] / "sandbox" / "accounts.json")}
        after = Howler(tmp_path, upstream=before.sandbox.url, facade=False, env=settings)
        async with after:
            chat.howler = after
            assert told(await chat.say("and now?")) == (RESUMED, task_id)
        assert await prompts(before, task_id) == ["remember 4711", "and now?"]
