"""Fingerprints of what was said, for any history."""

from howler.task.v1.start_turn_pb2 import Message, Role
from hypothesis import given
from hypothesis import strategies as st

from server.conversation.thread import BEGINNING, Words, digest, openings, thread_of

USER, ASSISTANT, TOOL = Role.ROLE_USER, Role.ROLE_ASSISTANT, Role.ROLE_TOOL
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MESSAGES = st.builds(
    lambda role, text: Message(role=role, text=text), st.sampled_from((USER, ASSISTANT, TOOL)), TEXTS
)
HISTORIES = st.lists(MESSAGES, max_size=8)


def said(*texts: str) -> list[Message]:
    """Return what a user and an agent said in turn."""
    return [Message(role=(USER, ASSISTANT)[number % 2], text=text) for number, text in enumerate(texts)]


def test_nothing_said() -> None:
    assert thread_of([]) == BEGINNING
    assert thread_of(said("  \n", "")) == BEGINNING
    assert openings(said("hello")) == []


def test_white_space_around_a_text_and_carriage_returns_are_not_in_it() -> None:
    assert thread_of(said("hello", "a\nb")) == thread_of(said(" hello\n", "\ta\r\nb \n"))
    assert thread_of(said("hello", "a b")) != thread_of(said("hello", "a  b"))


def test_who_said_it_and_where_it_ends_are_in_it() -> None:
    told = [Message(role=role, text="x") for role in (USER, ASSISTANT, TOOL)]
    assert len({thread_of([message]) for message in told}) == 3
    assert thread_of([Message(text="x")]) == thread_of(told[:1]), "no role is the user's"
    assert thread_of(said("ab", "", "c")) != thread_of(said("a", "", "bc"))


@given(HISTORIES, HISTORIES)
def test_threads_are_chains(before: list[Message], after: list[Message]) -> None:
    """Whoever knows the thread of the beginning can follow it, unless an agent's words were cut in two."""
    if before and after and before[-1].role == after[0].role == ASSISTANT:
        after = [Message(role=USER, text="!"), *after]
    assert thread_of(before + after) == thread_of(after, thread_of(before))


@given(HISTORIES, st.lists(TEXTS, max_size=200))
def test_words_make_the_thread_of_their_whole(before: list[Message], pieces: list[str]) -> None:
    """However an answer was cut into deltas, and however a client cuts it into messages."""
    before = [*before, Message(role=USER, text="?")]
    words = Words(thread_of(before))
    for piece in pieces:
        words.add(piece)
    whole = [*before, Message(role=ASSISTANT, text="".join(pieces))]
    cut = [*before, *(Message(role=ASSISTANT, text=piece) for piece in pieces)]
    assert words.thread() == thread_of(whole) == thread_of(cut)


@given(HISTORIES, st.integers(0, 7), TEXTS)
def test_an_edit_makes_another_thread(history: list[Message], index: int, text: str) -> None:
    """Edited, shortened or lengthened: what was said is not the same."""
    if index >= len(history):
        return
    changed = [*history]
    changed[index] = Message(role=history[index].role, text=text)
    same = _canonical(changed) == _canonical(history)
    assert (thread_of(changed) == thread_of(history)) == same
    shortened = history[:index] + history[index + 1 :]
    assert (thread_of(shortened) == thread_of(history)) == (_canonical(shortened) == _canonical(history))


@given(HISTORIES)
def test_openings_are_where_only_new_messages_follow(history: list[Message]) -> None:
    points = openings(history)
    assert [point.at for point in points] == sorted({point.at for point in points}, reverse=True)
    for point in points:
        assert point.at < len(history)
        assert point.thread == thread_of(history[: point.at]) != BEGINNING
        assert all(message.role != ASSISTANT for message in history[point.at :])


def test_instructions_are_known_by_their_digest() -> None:
    assert digest("") == ""
    assert len({digest("a"), digest("b"), digest("a ")}) == 3


def _canonical(history: list[Message]) -> list[tuple[int, str]]:
    """Spell out what two histories must have in common to be the same."""
    told: list[tuple[int, str]] = []
    run = ""
    for message in [*history, Message(role=USER, text="end")]:
        if message.role == ASSISTANT:
            run += message.text
            continue
        if text := run.replace("\r", "").strip():
            told.append((ASSISTANT, text))
        run = ""
        if text := message.text.replace("\r", "").strip():
            told.append((message.role, text))
    return told
