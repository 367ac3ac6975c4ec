"""Checks a turn's events against the grammar that task_event.proto states at TaskEvent."""

from collections.abc import Sequence

from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.tool_call_pb2 import ToolCallState

_BEFORE = {"progress", "notice", "raw", "keep_alive"}
_CONTENT = {
    "text_delta",
    "thought_delta",
    "tool_call",
    "plan",
    "usage",
    "commands",
    "question",
    "question_resolved",
    "image",
    "notice",
    "raw",
    "keep_alive",
}
_FINAL = (ToolCallState.TOOL_CALL_STATE_COMPLETED, ToolCallState.TOOL_CALL_STATE_FAILED)


def check(events: Sequence[TaskEvent]) -> None:
    """Assert that the events are one whole turn, from `accepted` to `ended`, with its seqs."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.time_unix_ms > 0 for event in events)
    assert events[0].WhichOneof("event") == "accepted", "a turn begins with accepted"
    assert events[0].accepted.turn_id
    assert events[0].accepted.task_id
    check_body(events[1:])


def check_body(events: Sequence[TaskEvent]) -> None:
    """Assert the grammar of what follows `accepted`, to the end."""
    kinds = [str(event.WhichOneof("event")) for event in events]
    assert kinds.count("ended") == 1, kinds
    assert kinds[-1] == "ended", "ended comes last"
    start = kinds.index("started") if "started" in kinds else len(kinds) - 1
    assert set(kinds[:start]) <= _BEFORE, f"before started: {kinds[:start]}"
    assert set(kinds[start + 1 : -1]) <= _CONTENT, f"after started: {kinds[start + 1 : -1]}"
    _check_deltas(events)
    _check_tools(events)
    _check_questions(events)


def _check_deltas(events: Sequence[TaskEvent]) -> None:
    for event in events:
        match event.WhichOneof("event"):
            case "text_delta":
                assert 0 < len(event.text_delta.text.encode()) <= 256 << 10
            case "thought_delta":
                assert 0 < len(event.thought_delta.text.encode()) <= 256 << 10


def _check_tools(events: Sequence[TaskEvent]) -> None:
    states: dict[str, int] = {}
    for event in events:
        if event.WhichOneof("event") != "tool_call":
            continue
        call = event.tool_call
        before = states.get(call.id, ToolCallState.TOOL_CALL_STATE_UNSPECIFIED)
        assert before not in _FINAL, f"{call.id} was over"
        assert call.state >= max(before, ToolCallState.TOOL_CALL_STATE_PENDING), f"{call.id} went back"
        states[call.id] = call.state
    assert all(state in _FINAL for state in states.values()), f"open calls at the end: {states}"


def _check_questions(events: Sequence[TaskEvent]) -> None:
    open_questions: set[str] = set()
    seen: set[str] = set()
    for event in events:
        match event.WhichOneof("event"):
            case "question":
                assert event.question.question_id not in seen, "one id is one question"
                seen.add(event.question.question_id)
                open_questions.add(event.question.question_id)
            case "question_resolved":
                assert event.question_resolved.question_id in open_questions
                open_questions.remove(event.question_resolved.question_id)
    assert not open_questions, f"open questions at the end: {open_questions}"
