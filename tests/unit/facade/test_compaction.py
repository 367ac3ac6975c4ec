"""A summary stands for all that was said before it (openai-surface.md §7.2)."""

from howler.task.v1.start_turn_pb2 import Message, Role, StartTurn, Transcript

from facade.openai.compaction import COMPACTION_BYTES, compacted, since_summary, summary_of

PREFIX = "Another language model started to solve this problem and produced a summary:\n"


def user(text: str) -> Message:
    return Message(role=Role.ROLE_USER, text=text)


def agent(text: str) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, text=text)


WHERE = user("<environment_context>here</environment_context>")
SAID = [WHERE, user("one"), agent("1"), user("two"), agent("2")]
SUMMARY = summary_of(SAID, "codex:t")


def test_it_says_what_the_user_said_and_where_the_rest_is() -> None:
    assert SUMMARY == (
        "What the user said, newest first:\n\ntwo\n\none\n\nThe last answer:\n\n2\n\n"
        "The agent keeps the whole of this conversation codex:t; it remembers the rest."
    )


def test_what_follows_it_follows_all_that_it_stands_for() -> None:
    """Codex repeats messages of the user before it, and puts words of its own in front of it."""
    follows = [user("three"), agent("3"), user("four")]
    told = since_summary(Transcript(messages=[*SAID, user(PREFIX + SUMMARY + "\n"), *follows]))
    assert told == Transcript(messages=[user(SUMMARY), *follows])
    again = since_summary(told)
    assert again == told


def test_the_conversation_is_told_by_it_from_now_on() -> None:
    start = StartTurn(principal="p", session="codex:t", messages=Transcript(messages=[*SAID, user("sum up")]))
    request = compacted(start, SUMMARY)
    assert (request.principal, request.session) == ("p", "codex:t")
    assert request.before == Transcript(messages=SAID)
    assert request.history == since_summary(Transcript(messages=[user(PREFIX + SUMMARY)]))


def test_a_summary_of_a_summary() -> None:
    """It holds the words of the user from both, not the first summary itself."""
    second = summary_of([user(SUMMARY), user("three"), agent("3")], "codex:t")
    said = "What the user said, newest first:\n\nthree\n\ntwo\n\none\n\nThe last answer:\n\n3\n\n"
    assert second.startswith(said)
    told = since_summary(Transcript(messages=[user(PREFIX + second), user("four")]))
    assert told == Transcript(messages=[user(second), user("four")])


def test_in_the_middle_of_a_turn_results_are_not_lost() -> None:
    """The agent called the client's tools and waits: what came of it is told behind the summary."""
    results = [Message(role=Role.ROLE_TOOL, text=text) for text in ("<tool_result>42</tool_result>", "43")]
    summary = summary_of([*SAID, *results], "codex:t")
    told = since_summary(Transcript(messages=[user("one"), user(PREFIX + summary)]))
    both = Message(role=Role.ROLE_TOOL, text="<tool_result>42</tool_result>\n43")
    assert told == Transcript(messages=[user(SUMMARY), both])
    start = StartTurn(messages=Transcript(messages=[*SAID, *results, user("sum up")]))
    request = compacted(start, summary)
    assert (list(request.before.messages), list(request.history.messages)) == (SAID, [user(SUMMARY)])


def test_no_other_text_is_one() -> None:
    for text in (
        "What the user said, newest first: nothing",
        SUMMARY + " And more.",
        SUMMARY.replace("; it remembers", "\n; it remembers"),
        SUMMARY.removeprefix("What"),
    ):
        whole = Transcript(messages=[user("one"), user(text), user("two")])
        assert since_summary(whole) == whole
    said = Transcript(messages=[user("one"), agent(SUMMARY), user("two")])
    assert since_summary(said) == said, "the agent said it"


def test_long_histories_are_cut() -> None:
    text = summary_of([user("o" * 9000), user("né" * 1000)], "")
    assert len(text.encode()) < COMPACTION_BYTES + 200
    assert since_summary(Transcript(messages=[user(text), user("x")])).messages[0] == user(text)
