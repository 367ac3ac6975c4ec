"""What a log leaves open is closed before its end, as the grammar of TaskEvent demands."""

from howler.task.v1.task_event_pb2 import (
    Accepted,
    Ended,
    EndReason,
    Question,
    QuestionResolution,
    QuestionResolved,
    Started,
    TaskEvent,
)
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState
from hypothesis import given
from hypothesis import strategies as st

from server.acp.opened import Opened
from tests.support import grammar

PENDING, RUNNING = ToolCallState.TOOL_CALL_STATE_PENDING, ToolCallState.TOOL_CALL_STATE_IN_PROGRESS
COMPLETED, FAILED = ToolCallState.TOOL_CALL_STATE_COMPLETED, ToolCallState.TOOL_CALL_STATE_FAILED
ANSWERED = QuestionResolution.QUESTION_RESOLUTION_ANSWERED
ENDED = TaskEvent(ended=Ended(reason=EndReason.END_REASON_FAILED))


def call(name: str, state: ToolCallState) -> TaskEvent:
    return TaskEvent(tool_call=ToolCall(id=name, title=f"Tool {name}", kind="execute", state=state))


def asked(name: str) -> TaskEvent:
    return TaskEvent(question=Question(question_id=name))


def resolved(name: str) -> TaskEvent:
    return TaskEvent(question_resolved=QuestionResolved(question_id=name, resolution=ANSWERED))


def test_what_is_open_is_closed_once() -> None:
    opened = Opened()
    opened.note([call("a", PENDING), call("b", PENDING), call("a", RUNNING), call("b", COMPLETED)])
    opened.note([asked("p"), asked("q"), resolved("p")])
    closing = opened.closing([ENDED])
    assert [(event.tool_call.id, event.tool_call.state) for event in closing[:1]] == [("a", FAILED)]
    assert closing[0].tool_call.title == "Tool a"
    assert [event.question_resolved.question_id for event in closing[1:]] == ["q"]
    assert opened.closing([ENDED]) == []


def test_what_the_last_events_close_is_left_to_them() -> None:
    opened = Opened()
    opened.note([call("a", PENDING), call("b", PENDING), asked("q")])
    last = [call("a", COMPLETED), resolved("q"), ENDED]
    assert [event.tool_call.id for event in opened.closing(last)] == ["b"]


steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([PENDING, RUNNING, COMPLETED, FAILED])))


@given(steps, st.lists(st.tuples(st.sampled_from("pq"), st.booleans())))
def test_a_log_that_was_closed_is_a_whole_turn(
    calls: list[tuple[str, ToolCallState]], questions: list[tuple[str, bool]]
) -> None:
    """Property: cut any log of a turn anywhere, and it can be ended."""
    events = [TaskEvent(accepted=Accepted(turn_id="t", task_id="k")), TaskEvent(started=Started())]
    states: dict[str, ToolCallState] = {}
    for name, state in calls:
        before = states.get(name, PENDING)
        if state >= before and before not in (COMPLETED, FAILED):
            states[name] = state
            events.append(call(name, state))
    answers: dict[str, bool] = {}
    for name, is_answer in questions:
        if not is_answer and name not in answers:
            answers[name] = False
            events.append(asked(name))
        elif is_answer and answers.get(name) is False:
            answers[name] = True
            events.append(resolved(name))
    opened = Opened()
    opened.note(events)
    events += [*opened.closing([ENDED]), ENDED]
    for seq, event in enumerate(events, 1):
        event.seq, event.time_unix_ms = seq, 1
    grammar.check(events)
