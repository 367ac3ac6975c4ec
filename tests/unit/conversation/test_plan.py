"""How a turn's agent comes to know what was said: for any history, and any conversations that were left."""

import pytest
from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.task.v1.start_turn_pb2 import Message, Role
from howler.task.v1.task_event_pb2 import Continuation
from hypothesis import given
from hypothesis import strategies as st

from server.conversation.plan import Known, Why, go_on, recognise
from server.conversation.thread import BEGINNING, Thread, thread_of

USER, ASSISTANT, TOOL = Role.ROLE_USER, Role.ROLE_ASSISTANT, Role.ROLE_TOOL
FRESH = Continuation.CONTINUATION_FRESH
RESUMED = Continuation.CONTINUATION_RESUMED
REPLAYED = Continuation.CONTINUATION_REPLAYED
IDLE = ConversationState.CONVERSATION_STATE_IDLE
RUNNING = ConversationState.CONVERSATION_STATE_RUNNING
DORMANT = ConversationState.CONVERSATION_STATE_DORMANT

WORDS = st.sampled_from(["a", "b", "c"])  # few, so that histories meet
HISTORIES = st.lists(
    st.builds(
        lambda role, text: Message(role=role, text=text), st.sampled_from((USER, ASSISTANT, TOOL)), WORDS
    ),
    max_size=6,
)


def said(*texts: str) -> list[Message]:
    """Return what a user and an agent said in turn."""
    return [Message(role=(USER, ASSISTANT)[number % 2], text=text) for number, text in enumerate(texts)]


def left(
    thread: Thread,
    state: ConversationState = IDLE,
    *,
    turns: int = 1,
    settled: bool = True,
    keeps: bool = False,
) -> Known:
    """Return a conversation that was left at a point."""
    shown = Conversation(conversation_id="conv", model="m", state=state, task_id="t", turns=turns)
    return Known(shown, thread, instructions="i", keeps=keeps, settled=settled)


def test_what_begins_is_fresh() -> None:
    plan = recognise(said("hi"), [])
    assert (plan.continuation, plan.why, plan.known) == (FRESH, Why.NOTHING_SAID, None)
    assert (list(plan.history), list(plan.news)) == ([], said("hi"))


def test_an_agent_that_remembers_is_told_the_new_message_alone() -> None:
    known = left(thread_of(said("hi", "hello")))
    plan = recognise(said("hi", "hello", "and now?"), [known])
    assert (plan.continuation, plan.why, plan.known) == (RESUMED, Why.REMEMBERED, known)
    assert list(plan.news) == [Message(role=USER, text="and now?")]


def test_results_of_tools_are_new_together() -> None:
    known = left(thread_of(said("hi", "call")))
    news = [Message(role=TOOL, text="1"), Message(role=TOOL, text="2"), Message(role=USER, text="?")]
    plan = recognise([*said("hi", "call"), *news], [known])
    assert plan.continuation == RESUMED
    assert list(plan.news) == news


def test_a_turn_without_an_answer_is_left_behind_its_question() -> None:
    known = left(thread_of(said("hi")))
    plan = recognise([*said("hi"), *said("again")], [known])
    assert (plan.continuation, list(plan.news)) == (RESUMED, said("again"))


@pytest.mark.parametrize(
    "messages",
    [
        said("hi", "hello", "one", "answer", "two"),  # branched, or the rest of another client's
        said("hi", "hello!", "one"),  # edited
        said("hello", "one"),
        said("one"),
        said("hi", "hello", "more", "than", "that"),
        [*said("hi"), *said("one")],  # the answer was cut out
    ],
)
def test_a_history_that_was_changed_resumes_nothing(messages: list[Message]) -> None:
    """The newest state alone counts: what was left earlier in the same conversation is a branch."""
    newest = left(thread_of(said("hi", "hello", "one", "answered")))
    plan = recognise(messages, [newest, left(BEGINNING)])
    assert plan.continuation != RESUMED
    assert plan.known is None


def test_what_is_gone_is_told_again_in_the_same_conversation() -> None:
    for known in (left(thread_of(said("q", "a")), DORMANT), left(thread_of(said("q", "a")), settled=False)):
        plan = recognise(said("q", "a", "q2"), [known])
        assert (plan.continuation, plan.why, plan.known) == (REPLAYED, Why.TASK_GONE, known)
        assert (list(plan.history), list(plan.news)) == (said("q", "a"), said("q2"))


def test_what_is_busy_is_left_alone() -> None:
    """A second chat with the same beginning, sent at the same time, gets an agent of its own."""
    thread = thread_of(said("q", "a"))
    plan = recognise(said("q", "a", "q2"), [left(thread, RUNNING)])
    assert (plan.continuation, plan.why, plan.known) == (REPLAYED, Why.BUSY, None)
    idle = left(thread)
    assert recognise(said("q", "a", "q2"), [left(thread, RUNNING), left(thread, DORMANT), idle]).known is idle


@given(HISTORIES, HISTORIES, st.sampled_from((IDLE, RUNNING, DORMANT)), st.booleans())
def test_an_agent_is_resumed_only_where_it_knows_exactly_the_rest(
    messages: list[Message], heard: list[Message], state: ConversationState, settled: bool
) -> None:
    """Whatever was asked and whatever was left: nothing is lost, doubled or said to the wrong agent."""
    messages = [*messages, Message(role=USER, text="a")]
    known = left(thread_of(heard), state, settled=settled)
    plan = recognise(messages, [known])
    assert [*plan.history, *plan.news] == messages
    assert plan.news
    if plan.continuation == RESUMED:
        assert plan.known is known
        assert (state, settled) == (IDLE, True)
        assert thread_of(plan.history) == known.thread
        assert all(message.role != ASSISTANT for message in plan.news)
    if plan.known is not None:
        assert thread_of(plan.history) == known.thread
    assert (plan.continuation == FRESH) == (len(messages) == 1)


@given(HISTORIES, st.integers(1, 2))
def test_whoever_resends_what_was_said_is_recognised(heard: list[Message], new: int) -> None:
    if thread_of(heard) == BEGINNING:
        return
    news = [Message(role=USER, text="a"), Message(role=TOOL, text="b")][:new]
    plan = recognise([*heard, *news], [left(thread_of(heard))])
    assert plan.continuation == RESUMED
    assert [*plan.history, *plan.news] == [*heard, *news]


def test_a_conversation_goes_on_with_what_is_new() -> None:
    known = left(thread_of(said("q", "a")))
    alone = go_on(known, said("q2"), model="", instructions="")
    assert (alone.continuation, alone.why, list(alone.news)) == (RESUMED, Why.REMEMBERED, said("q2"))
    whole = go_on(known, said("q", "a", "q2"), model="m", instructions="i")
    assert (whole.continuation, list(whole.news), list(whole.history)) == (
        RESUMED,
        said("q2"),
        said("q", "a"),
    )
    other = go_on(known, said("x", "y", "z"), model="", instructions="")
    assert list(other.news) == said("x", "y", "z"), "what the conversation does not hold is new"


def test_a_conversation_changes_its_model_or_its_instructions() -> None:
    known = left(thread_of(said("q", "a")))
    switched = go_on(known, said("q2"), model="m2", instructions="")
    assert (switched.continuation, switched.why) == (RESUMED, Why.OTHER_MODEL)
    instructed = go_on(known, said("q2"), model="m", instructions="other")
    assert (instructed.continuation, instructed.why) == (REPLAYED, Why.OTHER_INSTRUCTIONS)
    gone = go_on(known._replace(settled=False), said("q2"), model="m2", instructions="other")
    assert (gone.continuation, gone.why) == (REPLAYED, Why.TASK_GONE)


def test_the_first_turn_of_a_conversation() -> None:
    made = left(BEGINNING, DORMANT, turns=0, keeps=True)
    assert go_on(made, said("q"), model="", instructions="").continuation == FRESH
    assert go_on(made, said("q", "a", "q2"), model="", instructions="").continuation == REPLAYED
    told = left(thread_of(said("q", "a")), DORMANT, turns=0, keeps=True)
    first = go_on(told, said("q2"), model="", instructions="")
    assert (first.continuation, first.why) == (REPLAYED, Why.FIRST_TURN)
