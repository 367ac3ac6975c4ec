"""Frames fold into events that obey the grammar, whatever the order of the frames."""

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import (
    Answer,
    EndReason,
    NoticeKind,
    PlanEntry,
    QuestionItem,
    QuestionOption,
    QuestionResolution,
    TaskEvent,
    UsageSource,
)
from howler.task.v1.tool_call_pb2 import ToolCallState
from hypothesis import given
from hypothesis import strategies as st

from server.acp.frames import (
    Answered,
    Asked,
    Began,
    Called,
    Echo,
    Erred,
    Frame,
    Interrupted,
    Junk,
    Metered,
    Noted,
    Over,
    Planned,
    Said,
    Severed,
    Shown,
    Silent,
    Thought,
    Unknown,
)
from server.acp.turn import Turn
from server.acp.uplink import Reply
from tests.support.grammar import check_body

AUTO = QuestionPolicy.QUESTION_POLICY_AUTO
ASK = QuestionPolicy.QUESTION_POLICY_ASK
PENDING = ToolCallState.TOOL_CALL_STATE_PENDING
RUNNING = ToolCallState.TOOL_CALL_STATE_IN_PROGRESS
DONE = ToolCallState.TOOL_CALL_STATE_COMPLETED
FAILED = ToolCallState.TOOL_CALL_STATE_FAILED
ITEM = QuestionItem(text="Which?", options=[QuestionOption(label="all"), QuestionOption(label="one")])


def fold(*frames: Frame, turn: Turn | None = None) -> list[TaskEvent]:
    """Return the events of a whole turn, checked against the grammar."""
    turn = turn or Turn(10, AUTO)
    events = [event for frame in frames for event in turn.receive(frame)]
    for seq, event in enumerate(events, 2):
        event.seq = seq
    check_body(events)
    return events


def kinds(events: list[TaskEvent]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


def test_a_plain_turn() -> None:
    events = fold(
        Echo(text="p"), Began(at=3), Thought(text="hm"), Said(text="a"), Said(text=""), Said(text="b"), Over()
    )
    assert kinds(events) == ["started", "thought_delta", "text_delta", "text_delta", "ended"]
    assert events[0].time_unix_ms == 3
    ended = events[-1].ended
    assert (ended.reason, ended.resumable) == (EndReason.END_REASON_COMPLETED, True)
    tokens = ended.usage.tokens
    assert (tokens.input_tokens, tokens.output_tokens, tokens.source) == (
        3,
        1,
        UsageSource.USAGE_SOURCE_ESTIMATED,
    )


def test_started_is_told_before_content_that_came_without_it() -> None:
    assert kinds(fold(Said(text="a"), Over())) == ["started", "text_delta", "ended"]
    assert kinds(fold(Over())) == ["ended"]


def test_nothing_after_the_end() -> None:
    assert kinds(fold(Began(), Over(), Said(text="late"), Over())) == ["started", "ended"]


def test_a_tool_call_tells_what_changed() -> None:
    events = fold(
        Called(id="t", title="Bash", kind="execute", state=PENDING, raw_input="{}"),
        Called(id="t", state=RUNNING),
        Called(id="t", state=PENDING),
        Called(id="t", raw_input="{}"),
        Called(id="t", state=DONE, output="ok"),
        Called(id="t", state=FAILED, output="late"),
        Over(),
    )
    calls = [event.tool_call for event in events if event.WhichOneof("event") == "tool_call"]
    assert [(call.title, call.state, call.raw_input, call.output) for call in calls] == [
        ("Bash", PENDING, "{}", ""),
        ("Bash", RUNNING, "", ""),
        ("Bash", DONE, "", "ok"),
    ]


def test_an_update_of_an_unknown_call_announces_it_and_open_calls_fail_at_the_end() -> None:
    events = fold(Called(id="t", state=RUNNING), Over())
    assert [event.tool_call.state for event in events[1:3]] == [RUNNING, FAILED]


def test_long_fields_are_cut_and_long_deltas_split() -> None:
    events = fold(Called(id="t", output="é" * (1 << 20), state=DONE), Said(text="x" * 150_000), Over())
    assert events[1].tool_call.truncated
    assert len(events[1].tool_call.output.encode()) <= 1 << 20
    assert "".join(event.text_delta.text for event in events[2:-1]) == "x" * 150_000
    assert all(event.ByteSize() < 4 << 20 for event in events)


def test_usage_keeps_what_a_later_frame_does_not_tell() -> None:
    events = fold(
        Metered(context_used=5, context_size=9), Metered(context_used=6), Metered(input_tokens=1), Over()
    )
    assert events[2].usage.context.size_tokens == 9
    assert not events[2].usage.HasField("tokens")
    ended = events[-1].ended.usage
    assert (ended.context.used_tokens, ended.tokens.input_tokens) == (6, 1)
    assert ended.tokens.source == UsageSource.USAGE_SOURCE_EXACT


def test_a_question_is_answered_by_its_first_option() -> None:
    """P6.5"""
    turn = Turn(0, AUTO)
    many = QuestionItem(text="More?", options=[QuestionOption(label="x")], multiple=True)
    events = turn.receive(Asked(id="q", items=(ITEM, many)))
    assert kinds(events) == ["started", "question", "question_resolved"]
    assert events[-1].question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_AUTO
    assert turn.to_send() == [
        Reply(request_id="q", answers={"Which?": "all", "More?": ["x"]}, cancelled=False)
    ]
    assert turn.to_send() == []
    assert turn.receive(Answered(id="q", answers=(), cancelled=False)) == []
    assert turn.receive(Asked(id="q", items=(ITEM,))) == []


def test_a_declined_question() -> None:
    turn = Turn(0, QuestionPolicy.QUESTION_POLICY_DECLINE)
    events = turn.receive(Asked(id="q", items=(ITEM,)))
    assert events[-1].question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_DECLINED
    assert turn.to_send() == [Reply(request_id="q", answers={}, cancelled=True)]


def test_a_question_waits_for_its_caller() -> None:
    turn = Turn(0, ASK)
    assert kinds(turn.receive(Asked(id="q", items=(ITEM,)))) == ["started", "question"]
    assert turn.to_send() == []
    with pytest.raises(ValueError, match="1 of 1"):
        turn.answer("q", [], decline=False)
    events = turn.answer("q", [Answer(text="Which?", values=["one"])], decline=False)
    assert events[0].question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_ANSWERED
    assert turn.to_send() == [Reply(request_id="q", answers={"Which?": "one"}, cancelled=False)]
    with pytest.raises(LookupError):
        turn.answer("q", [], decline=True)


def test_questions_that_others_answer_or_drop() -> None:
    events = fold(
        Asked(id="a", items=(ITEM,)),
        Answered(id="a", answers=(("Which?", ("one",)),), cancelled=False),
        Asked(id="b", items=(ITEM,)),
        Asked(id="b", items=(ITEM,), state=FAILED),
        Asked(id="c", items=(ITEM,), state=DONE),
        Asked(id="d", items=(ITEM,)),
        Over(),
        turn=Turn(0, ASK),
    )
    resolutions = {
        event.question_resolved.question_id: event.question_resolved.resolution
        for event in events
        if event.WhichOneof("event") == "question_resolved"
    }
    assert resolutions == {
        "a": QuestionResolution.QUESTION_RESOLUTION_ELSEWHERE,
        "b": QuestionResolution.QUESTION_RESOLUTION_EXPIRED,
        "c": QuestionResolution.QUESTION_RESOLUTION_ELSEWHERE,
        "d": QuestionResolution.QUESTION_RESOLUTION_EXPIRED,
    }


def test_an_update_of_the_call_that_carries_a_question_is_no_tool() -> None:
    turn = Turn(0, ASK)
    turn.receive(Asked(id="q", items=(ITEM,)))
    assert turn.receive(Called(id="q", state=RUNNING)) == []
    events = turn.receive(Called(id="q", state=DONE, output="all"))
    assert kinds(events) == ["question_resolved"]
    assert turn.receive(Called(id="q", state=DONE)) == []


def test_an_error_ends_the_turn_failed_unless_the_agent_goes_on() -> None:
    failed = fold(Said(text="a"), Erred(message="no"), Over())
    assert failed[2].notice.kind == NoticeKind.NOTICE_KIND_AGENT_ERROR
    assert failed[-1].ended.reason == EndReason.END_REASON_FAILED
    assert failed[-1].ended.error == ErrorReason.ERROR_REASON_AGENT_ERROR
    assert failed[-1].ended.message == "no"
    assert (
        fold(Erred(message="no"), Said(text="b"), Over())[-1].ended.reason == EndReason.END_REASON_COMPLETED
    )


def test_cancelled_on_the_platform() -> None:
    assert fold(Began(), Interrupted(), Over())[-1].ended.reason == EndReason.END_REASON_CANCELLED


def test_an_end_of_ours_closes_what_is_open() -> None:
    turn = Turn(0, ASK)
    turn.receive(Called(id="t", state=RUNNING))
    turn.receive(Asked(id="q", items=(ITEM,)))
    events = turn.end(
        EndReason.END_REASON_FAILED, error=ErrorReason.ERROR_REASON_IDLE_TIMEOUT, message="m", retry_after=1.5
    )
    assert kinds(events) == ["tool_call", "question_resolved", "ended"]
    assert events[-1].ended.retry_after.ToMilliseconds() == 1500
    assert turn.end(EndReason.END_REASON_FAILED) == []


def test_severed_and_junk_are_no_events() -> None:
    turn = Turn(0, AUTO)
    assert turn.receive(Severed(message="gone")) == []
    assert turn.severed == "gone"
    turn.receive(Junk())
    assert turn.ignored == 1
    assert not turn.began


ids = st.sampled_from(["1", "2"])
texts = st.text(max_size=3)
states = st.sampled_from([None, PENDING, RUNNING, DONE, FAILED])
frames = st.one_of(
    st.builds(Said, text=texts),
    st.builds(Thought, text=texts),
    st.just(Silent()),
    st.just(Began()),
    st.just(Junk()),
    st.just(Interrupted()),
    st.builds(Erred, message=texts),
    st.builds(Called, id=ids, state=states, title=texts, output=texts),
    st.builds(Asked, id=ids, items=st.just((ITEM,)), state=states),
    st.builds(Answered, id=ids, answers=st.just(()), cancelled=st.booleans()),
    st.builds(Planned, entries=st.just((PlanEntry(content="x"),))),
    st.builds(Metered, context_used=st.none() | st.integers(0, 9)),
    st.builds(Noted, kind=st.just(NoticeKind.NOTICE_KIND_LLM_RETRY), message=texts),
    st.builds(Shown, mime_type=st.just("image/png"), data=st.binary(max_size=3), uri=texts),
    st.builds(Unknown, type=texts, kind=texts, data=texts),
)


@given(st.lists(frames, max_size=30), st.sampled_from([AUTO, ASK, QuestionPolicy.QUESTION_POLICY_DECLINE]))
def test_any_order_of_frames_obeys_the_grammar(received: list[Frame], policy: QuestionPolicy) -> None:
    events = fold(*received, Over(), turn=Turn(0, policy))
    said = "".join(frame.text for frame in received if isinstance(frame, Said))
    assert "".join(event.text_delta.text for event in events) == said
