"""Issue 5: idle conversations end, and their tasks make room before anybody asks for it."""

import asyncio
from pathlib import Path
from typing import Any

from howler.conversation.v1.conversation_service_pb2 import (
    ConversationState,
    CreateRequest,
    GetRequest,
)
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import Continuation, EndReason

from tests.support.howler import Howler, accounts_file
from tests.support.sandbox import accounts
from tests.support.watched import Watched, eventually

DORMANT = ConversationState.CONVERSATION_STATE_DORMANT
IDLE = ConversationState.CONVERSATION_STATE_IDLE
KEEP = TaskRetention.TASK_RETENTION_KEEP
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it
CREATE = "POST /api/v1/users/tasks"


def gateway(folder: Path, slots: int, **env: str) -> Howler:
    """Return a server with one account of so many slots, at the platform, too."""
    file = accounts_file(folder, [{**accounts()[0], "slots": slots}])
    return Howler(
        folder,
        facade=False,
        env={"HOWLER_ACCOUNTS_FILE": file, **env},
        sandbox_env={"HOWLER_SANDBOX_ACCOUNTS": file},
    )


async def made(howler: Howler) -> str:
    return str((await howler.conversations.Create(CreateRequest())).conversation.conversation_id)


async def state(howler: Howler, conversation_id: str) -> ConversationState:
    got = await howler.conversations.Get(GetRequest(conversation_id=conversation_id))
    found: ConversationState = got.conversation.state
    return found


async def statuses(howler: Howler) -> list[str]:
    return [task["status"] for task in (await howler.sandbox.state())["tasks"]]


async def test_an_idle_conversation_ends(tmp_path: Path) -> None:
    """Its task is stopped and its slot freed, after HOWLER_CONVERSATION_IDLE; it goes on all the same."""
    async with gateway(tmp_path, 2, HOWLER_CONVERSATION_IDLE="0.4") as howler:
        talk = await made(howler)
        await howler.turn("one", conversation_id=talk)
        kept = await howler.turn("not in a conversation", retention=KEEP)
        assert await eventually(lambda: _is(howler, talk, DORMANT))
        assert await statuses(howler) == ["finished", "processing"], "no other is"
        second = await howler.turn("two", conversation_id=talk)
        assert second[0].accepted.continuation == Continuation.CONTINUATION_REPLAYED
        assert second[0].accepted.task_id != kept[0].accepted.task_id


async def _is(howler: Howler, talk: str, wanted: ConversationState) -> bool:
    return await state(howler, talk) == wanted


async def test_a_turn_that_takes_long_is_not_idle(tmp_path: Path) -> None:
    async with gateway(tmp_path, 2, HOWLER_CONVERSATION_IDLE="0.3") as howler:
        talk = await made(howler)
        events = await howler.turn("/pace 60 20", conversation_id=talk)
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def test_a_slot_is_kept_free(tmp_path: Path) -> None:
    """HOWLER_FREE_SLOTS, by default one of four: who spoke longest ago makes room, before anybody asks."""
    async with gateway(tmp_path, 4) as howler:
        talks = [await made(howler) for _ in range(4)]
        for talk in talks:
            await howler.turn("hello", conversation_id=talk)
        assert await eventually(lambda: _is(howler, talks[0], DORMANT))
        assert [await state(howler, talk) for talk in talks[1:]] == [IDLE] * 3
        await howler.turn("and again", conversation_id=talks[1])
        await howler.turn("hello", conversation_id=talks[0])
        assert await eventually(lambda: _is(howler, talks[2], DORMANT)), "it was used longest ago now"
        assert [await state(howler, talk) for talk in talks] == [IDLE, IDLE, DORMANT, IDLE]
        assert (await howler.sandbox.state())["requests"][CREATE] == 5, "no create was refused"


async def test_turns_that_run_give_way_to_nobody(tmp_path: Path) -> None:
    async with gateway(tmp_path, 2) as howler:
        turns = [Watched(howler, SLOW) for _ in range(2)]
        for turn in turns:
            await turn.until("text_delta")
        await asyncio.sleep(0.3)
        assert await statuses(howler) == ["processing"] * 2
        for turn in turns:
            turn.call.cancel()


async def test_an_only_slot_keeps_its_conversation_until_it_is_needed(tmp_path: Path) -> None:
    async with gateway(tmp_path, 1) as howler:
        talk, other = await made(howler), await made(howler)
        first = await howler.turn("one", conversation_id=talk)
        await asyncio.sleep(0.3)
        second = await howler.turn("two", conversation_id=talk)
        assert second[0].accepted.task_id == first[0].accepted.task_id
        await howler.turn("me", conversation_id=other)
        assert [await state(howler, one) for one in (talk, other)] == [DORMANT, IDLE]


async def test_no_slot_is_kept_free(tmp_path: Path) -> None:
    async with gateway(tmp_path, 2, HOWLER_FREE_SLOTS="0") as howler:
        talks: list[Any] = [await made(howler) for _ in range(2)]
        for talk in talks:
            await howler.turn("hello", conversation_id=talk)
        await asyncio.sleep(0.3)
        assert [await state(howler, talk) for talk in talks] == [IDLE] * 2
