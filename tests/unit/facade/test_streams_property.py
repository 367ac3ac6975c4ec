"""Whatever events come, in whatever batches, both machines tell a legal answer."""

from howler.task.v1 import task_event_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st

from facade.openai.asides import MARK, strip_added
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold, ResponsesFold
from facade.openai.presentation import Audience, Presentation, ReasoningField, Thinking, ToolDisplay
from facade.openai.responses_request import Echo
from facade.openai.responses_stream import ResponsesStream
from tests.support.facade import accepted, ended, plan, started, text, thought, tool
from tests.support.openai_judge import judge_chat_completion, judge_chat_stream
from tests.support.response_judge import SAFE_ITEMS, judge_response, judge_response_stream

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=MARK), max_size=6)
ids = st.sampled_from(["a", "b", "c"])
contents = st.one_of(
    st.builds(text, words),
    st.builds(thought, words),
    st.builds(tool, ids, st.integers(1, 4), title=words, raw_input=words, output=words),
    st.builds(plan, st.tuples(words, st.integers(0, 3))),
    st.builds(
        lambda q: pb.TaskEvent(question=pb.Question(question_id=q, items=[pb.QuestionItem(text="?")])), ids
    ),
    st.builds(lambda q: pb.TaskEvent(question_resolved=pb.QuestionResolved(question_id=q)), ids),
    st.builds(
        lambda k, w: pb.TaskEvent(notice=pb.Notice(kind=k, message=w)),
        st.sampled_from(pb.NoticeKind.values()),
        words,
    ),
    st.builds(lambda w: pb.TaskEvent(image=pb.Image(uri=w)), words),
    st.builds(lambda w: pb.TaskEvent(raw=pb.Raw(type=w)), words),
    st.just(pb.TaskEvent(keep_alive=pb.KeepAlive())),
    st.just(started()),
    st.just(accepted()),
    st.just(pb.TaskEvent()),
)
turns = st.tuples(
    st.lists(contents, max_size=25),
    st.sampled_from(pb.EndReason.values()),
    st.lists(contents, max_size=3),
).map(lambda t: [*t[0], ended(t[1]), *t[2]])


def batched(events: list[pb.TaskEvent], size: int) -> list[list[pb.TaskEvent]]:
    return [events[i : i + size] for i in range(0, len(events), size)]


def failed(events: list[pb.TaskEvent]) -> bool:
    end = next(event.ended for event in events if event.HasField("ended"))
    good = {"COMPLETED", "TIME_LIMIT", "CANCELLED"}
    return pb.EndReason.Name(end.reason).removeprefix("END_REASON_") not in good


presentations = st.builds(
    Presentation,
    tools=st.sampled_from(ToolDisplay),
    thinking=st.sampled_from(Thinking),
    reasoning_field=st.sampled_from(ReasoningField),
    audience=st.sampled_from(Audience),
)


def said(events: list[pb.TaskEvent]) -> str:
    return "".join(e.text_delta.text for e in events[: _end(events)])


@given(turns, st.integers(1, 5), presentations)
def test_chat(events: list[pb.TaskEvent], size: int, shown: Presentation) -> None:
    stream = ChatStream("chatcmpl-1", 1, "asked", shown, include_usage=True)
    parts = [stream.receive(batch) + stream.keep_alive() for batch in batched(events, size)]
    verdict = judge_chat_stream(b"".join(parts), include_usage=True)
    at_once = ChatStream("chatcmpl-1", 1, "asked", shown, include_usage=True)
    assert judge_chat_stream(at_once.receive(events), include_usage=True).content == verdict.content
    fold = ChatFold("chatcmpl-1", 1, "asked", shown)
    fold.receive(events)
    if not failed(events):
        assert judge_chat_completion(fold.answer()).choices[0].message.content == verdict.content
    assert (verdict.error is not None) == failed(events)
    assert strip_added(verdict.content) == said(events)
    if shown.tools is ToolDisplay.NONE:
        assert (verdict.content, verdict.reasoning) == (said(events), "")


@given(turns, st.integers(1, 5), presentations)
def test_responses(events: list[pb.TaskEvent], size: int, shown: Presentation) -> None:
    kinds = SAFE_ITEMS
    if shown.tools is ToolDisplay.FUNCTION_CALL:
        kinds |= {"function_call", "function_call_output"}
    stream = ResponsesStream("u1", 1, "asked", Echo(), shown)
    parts = [stream.receive(batch) + stream.keep_alive() for batch in batched(events, size)]
    verdict = judge_response_stream(b"".join(parts), kinds)
    assert strip_added(verdict.text) == said(events)
    if shown.tools is ToolDisplay.NONE:
        assert {item.type for item in verdict.items} <= {"message"}
    fold = ResponsesFold(ResponsesStream("u1", 1, "asked", Echo(), shown))
    fold.receive(events)
    if not failed(events):
        assert judge_response(fold.answer()) == verdict.response
    assert (verdict.terminal == "response.failed") == failed(events)


def _end(events: list[pb.TaskEvent]) -> int:
    return next(i for i, event in enumerate(events) if event.HasField("ended"))
