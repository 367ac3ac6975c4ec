"""What every store must do for replicas that share it: conversations."""

from collections.abc import Sequence

from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.task.v1.start_turn_pb2 import Message, Role, Transcript

from server.conversation.plan import Known
from server.conversation.thread import BEGINNING, Thread, digest, thread_of
from server.pool.account import LeaseId, TaskId
from server.store.conversations import Conversations, Said, Sought
from server.store.open import AnyStore
from server.store.pages import behind_conversation
from tests.store.records import ANN, granted, rest, task

RUNNING = ConversationState.CONVERSATION_STATE_RUNNING
IDLE = ConversationState.CONVERSATION_STATE_IDLE
DORMANT = ConversationState.CONVERSATION_STATE_DORMANT
ANY = ConversationState.CONVERSATION_STATE_UNSPECIFIED
NOTHING = Transcript()


def transcript(*texts: str) -> Transcript:
    roles = (Role.ROLE_USER, Role.ROLE_ASSISTANT)
    return Transcript(
        messages=[Message(role=roles[number % 2], text=text) for number, text in enumerate(texts)]
    )


def new(conversation_id: str, history: Transcript = NOTHING, *, keeps: bool = True) -> Known:
    return Known(
        Conversation(conversation_id=conversation_id, principal="p", metadata={"k": "v"}),
        thread=thread_of(history.messages),
        instructions=digest("be brief"),
        told="be brief",
        keeps=keeps,
    )


def said(conversation_id: str, turns: int, **fields: object) -> Said:
    usual: dict[str, object] = {
        "conversation_id": conversation_id,
        "principal": "p",
        "model": "m",
        "instructions": digest("be brief"),
        "told": "be brief",
        "thread": thread_of(transcript("q", "a").messages),
        "task_id": TaskId("t1"),
        "turn_id": f"turn{turns}",
        "before": f"turn{turns - 1}" if turns > 1 else "",
        "turns": turns,
        "added": NOTHING,
    }
    return Said(**(usual | fields))  # type: ignore[arg-type]


async def known(conversations: Conversations, conversation_id: str) -> Known:
    found = await conversations.get(conversation_id)
    assert found is not None
    return found


async def left_at(
    conversations: Conversations, *threads: Thread, session: str = "", turns: Sequence[str] = ()
) -> list[str]:
    sought = Sought("p", "m", digest("be brief"), threads, session, turns)
    return [found.id for found in await conversations.left(sought)]


async def run_turn(store: AnyStore, task_id: str, turn_id: str, lease_id: str) -> None:
    """Let a turn begin on a new task."""
    await granted(store, lease_id)
    made = task(task_id)
    made.turn_id = turn_id
    await store.record_task(made, LeaseId(lease_id))


async def test_a_conversation_is_as_its_task_is(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    assert await here.get("c1") is None
    await here.add(new("c1"), NOTHING, 5)
    made = await known(there, "c1")
    assert (made.shown.state, made.shown.turns, made.shown.model) == (DORMANT, 0, "")
    assert dict(made.shown.metadata) == {"k": "v"}
    assert (made.told, made.keeps, made.thread) == ("be brief", True, BEGINNING)
    assert made.shown.create_time.ToMicroseconds() == 5

    await granted(store, "l0")
    assert await here.claim(made, LeaseId("l0"), "turn1")
    claimed = await known(there, "c1")
    assert (claimed.shown.state, claimed.shown.turn_id) == (RUNNING, "turn1")
    assert not await there.claim(made, LeaseId("l9"), "turn9"), "another turn has it"
    assert await here.claim(made, LeaseId("l0"), "turn1"), "the same one may claim it again"
    await run_turn(store, "t1", "turn1", "l1")
    await here.say(said("c1", 1, added=transcript("q", "a")), LeaseId("l1"), 9)
    after = await known(there, "c1")
    assert (after.shown.state, after.shown.task_id) == (RUNNING, "t1"), (
        "the task is busy until its lease ends"
    )
    await store.end_lease(LeaseId("l1"), 10)
    rests = await known(there, "c1")
    assert (rests.shown.state, rests.shown.turns, rests.shown.model) == (IDLE, 1, "m")
    assert (rests.remembers, rests.last_turn, rests.shown.turn_id) == (True, "turn1", "turn1")
    assert rests.shown.last_used_time.ToMicroseconds() == 9
    assert [message.text for message in await there.said("c1")] == ["q", "a"]

    await store.touch_task(TaskId("t1"), "turn2", 11)
    heard = await known(there, "c1")
    assert (heard.shown.state, heard.shown.turn_id, heard.settled) == (RUNNING, "turn2", False)
    assert not await there.claim(rests, LeaseId("l9"), "turn9"), "a turn runs on its task"
    await rest(store, "t1", 12)
    assert not (await known(there, "c1")).remembers, "its agent heard what the conversation does not know of"

    await store.end_task(TaskId("t1"), 13)
    gone = await known(there, "c1")
    assert (gone.shown.state, gone.shown.task_id, gone.shown.turn_id) == (DORMANT, "", "turn1")


async def test_a_claim_ends_with_its_lease(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    await here.add(new("c1"), NOTHING, 5, lease_id=LeaseId("l0"), turn_id="turn1")
    assert (await known(here, "c1")).shown.state == DORMANT, "there is no such lease"
    await granted(store, "l1")
    before = await known(here, "c1")
    assert await here.claim(before, LeaseId("l1"), "turn1")
    await store.end_lease(LeaseId("l1"), 6)
    await granted(other, "l2")
    assert await there.claim(before, LeaseId("l2"), "turn2")
    assert (await known(here, "c1")).shown.turn_id == "turn2"
    await there.say(said("c1", 1), LeaseId("l2"), 7)
    assert not await here.claim(before, LeaseId("l1"), "turn3"), "it has gone on meanwhile"


async def test_what_is_said_follows_what_was_said_before(store: AnyStore) -> None:
    conversations = Conversations(store)
    history = transcript("before", "yes")
    await conversations.add(new("c1", history), history, 1)
    await conversations.say(said("c1", 1, added=transcript("q", "a")), LeaseId("l1"), 2)
    await conversations.say(said("c1", 2, added=transcript("q2", "a2")), LeaseId("l2"), 3)
    await conversations.say(said("c1", 2, added=transcript("late", "late"), before="other"), LeaseId("l3"), 4)
    told = [message.text for message in await conversations.said("c1")]
    assert told == ["before", "yes", "q", "a", "q2", "a2"]
    assert (await known(conversations, "c1")).last_turn == "turn2"


async def test_conversations_are_found_by_where_they_were_left(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    thread = thread_of(transcript("q", "a").messages)
    await here.begin(said("c1", 1), LeaseId("l1"), 1)
    await here.begin(said("c1", 1), LeaseId("l1"), 1)
    await here.begin(said("c2", 1), LeaseId("l1"), 2)
    await here.begin(said("c3", 1, principal="other"), LeaseId("l1"), 3)
    await here.begin(said("c4", 1, model="other"), LeaseId("l1"), 3)
    await here.begin(said("c5", 1, instructions=""), LeaseId("l1"), 3)
    await here.begin(said("c6", 1, thread=thread_of(transcript("q").messages)), LeaseId("l1"), 3)

    async def left(*threads: Thread) -> list[str]:
        return await left_at(there, *threads)

    assert await left(thread) == ["c2", "c1"], "the one used last first"
    assert await left(thread_of(transcript("q").messages), thread) == ["c6", "c2", "c1"]
    assert await left() == []
    assert await left(BEGINNING) == []
    found = await known(there, "c1")
    assert (found.keeps, found.told, found.instructions) == (False, "", digest("be brief"))


async def test_a_conversation_is_found_by_what_its_caller_was_told(store: AnyStore, other: AnyStore) -> None:
    """Retell: until another turn comes after the one that is named."""
    here, there = Conversations(store), Conversations(other)
    told, later = (thread_of(transcript("q", answer).messages) for answer in ("told", "later"))
    await here.begin(said("c1", 1), LeaseId("l1"), 1)
    await here.retell("c1", "turn1", told)
    await there.retell("c1", "turn0", later)
    await there.retell("c2", "turn1", later)
    assert await left_at(there, told, later) == ["c1"]
    assert (await known(there, "c1")).thread == told


async def test_conversations_are_listed_by_last_use_in_pages(store: AnyStore) -> None:
    conversations = Conversations(store)
    for number in range(6):
        await conversations.begin(
            said(f"c{number}", 1, principal="ab"[number % 2]), LeaseId("l1"), 1 + number // 2
        )
    await run_turn(store, "t1", "turn1", "l2")
    everything = await conversations.page(ANY, "", 100)
    assert [found.conversation_id for found in everything] == [f"c{number}" for number in reversed(range(6))]
    pages, after = list[str](), None
    while page := await conversations.page(ANY, "", 4, after):
        pages += [found.conversation_id for found in page]
        after = behind_conversation(page[-1])
    assert pages == [found.conversation_id for found in everything]
    assert [found.conversation_id for found in await conversations.page(RUNNING, "a", 9)] == [
        "c4",
        "c2",
        "c0",
    ]
    assert await conversations.page(DORMANT, "", 9) == []


async def test_what_is_deleted_and_what_is_forgotten(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    await here.add(new("kept"), transcript("q"), 1)
    for number in (1, 2):
        await here.begin(said(f"c{number}", 1, task_id=TaskId(f"t{number}")), LeaseId("l1"), number)
    await run_turn(store, "t1", "turn1", "l1")
    await store.end_lease(LeaseId("l1"), 20)
    assert await there.idle(20) == []
    assert await there.idle(21) == [TaskId("t1")]
    await here.forget(2)
    assert await there.get("c2") is not None
    await here.forget(3)
    assert await there.get("c2") is None, "it has no task and keeps no words"
    assert await there.get("c1") is not None, "its agent remembers"
    assert await there.get("kept") is not None
    assert await there.delete("c1") == "t1"
    assert await there.delete("c1") is None
    assert await there.delete("kept") == ""
    assert await here.said("kept") == []
    await here.say(said("kept", 1), LeaseId("l1"), 9)
    assert await there.get("kept") is None, "what was deleted stays so"


async def test_the_model_of_a_task_changes(store: AnyStore, other: AnyStore) -> None:
    await store.record_task(task("t1", account_id=ANN), LeaseId(""))
    await Conversations(store).change_model(TaskId("t1"), "m2")
    changed = await other.task(TaskId("t1"))
    assert changed is not None
    assert changed.model == "m2"


async def test_a_name_tells_conversations_with_the_same_words_apart(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    thread = thread_of(transcript("q", "a").messages)
    await here.begin(said("c1", 1, session="one"), LeaseId("l1"), 1)
    await here.begin(said("c2", 1, session="two"), LeaseId("l1"), 2)
    await here.begin(said("c3", 1, turn_id="turn9"), LeaseId("l1"), 3)
    assert await left_at(there, thread, session="one") == ["c1", "c3"], "its own, and one without a name"
    assert await left_at(there, thread) == ["c3"], "whoever gives no name is given none that has one"
    assert await left_at(there, thread, turns=["turn1"]) == ["c2", "c1"]
    assert await left_at(there, thread, session="one", turns=["turn1"]) == ["c1", "c2"]
    assert await left_at(there, thread, turns=["turn7"]) == []
    assert (await there.of_session("p", "one"), await there.of_session("p", "")) == ("c1", None)
    assert await there.of_session("somebody else", "one") is None
    await here.say(said("c3", 2, before="turn9", session="one"), LeaseId("l1"), 4)
    assert await there.of_session("p", "one") == "c3", "the one used last"
    await here.say(said("c3", 3, before="turn2"), LeaseId("l1"), 5)
    assert (await known(there, "c3")).shown.session == "one"


async def test_what_was_left_somewhere_is_told_otherwise(store: AnyStore, other: AnyStore) -> None:
    here, there = Conversations(store), Conversations(other)
    before, after = (thread_of(transcript(text).messages) for text in ("long", "short"))
    await here.begin(said("c1", 1, thread=before, session="one"), LeaseId("l1"), 1)
    await here.begin(said("c2", 1, thread=before, session="two"), LeaseId("l1"), 2)
    await there.retell_left("somebody else", "one", before, after)
    await there.retell_left("p", "one", after, before)
    assert await left_at(here, before, session="one") == ["c1"]
    await there.retell_left("p", "one", before, after)
    assert await left_at(here, before, session="one") == []
    assert await left_at(here, after, session="one") == ["c1"]
    assert await left_at(here, before, session="two") == ["c2"]
