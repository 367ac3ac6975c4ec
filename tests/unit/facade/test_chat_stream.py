"""The chat machine: what a client of a chat understands of a turn, streamed and whole."""

import gc
import weakref

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_event_pb2 as pb

from facade.errors import ApiError
from facade.openai.chat_stream import ChatStream
from facade.openai.fold import ChatFold
from facade.openai.presentation import Presentation
from tests.support.facade import accepted, ended, failed, plan, started, text, thought, tool
from tests.support.openai_judge import ChatVerdict, judge_chat_completion, judge_chat_stream

BUSY_TURN = [
    accepted(),
    started(),
    thought("Let me look"),
    tool("a", 1),
    tool("a", 2, raw_input='{"command":"pytest -q"}'),
    tool("a", 4, output="exit 1\nmore"),
    text("It fails. "),
    tool("b", 2, title="Edit a.py", raw_input='{"path":"a.py"}'),
    tool("b", 3, output="ok"),
    plan(("find it", 3), ("fix it", 2), ("tell", 1)),
    text("Fixed."),
    ended(),
]


def told(events: list[pb.TaskEvent], *, include_usage: bool = False) -> ChatVerdict:
    stream = ChatStream("chatcmpl-1", 1_795_000_000, "asked", Presentation(), include_usage=include_usage)
    return judge_chat_stream(stream.receive(events), include_usage=include_usage)


def test_answer_in_content_and_the_rest_beside_it() -> None:
    """P6.1, P6.2, P6.4: text, thoughts, tools and plan each in their place."""
    verdict = told(BUSY_TURN)
    assert verdict.content == "It fails. Fixed."
    assert verdict.reasoning == (
        "Let me look\n"
        "[tool] Bash: pytest -q -> failed: exit 1\n"
        "[tool] Edit a.py -> done\n"
        "[plan]\n- [x] find it\n- [~] fix it\n- [ ] tell\n"
    )
    assert verdict.finish_reason == "stop"
    assert verdict.model == "monkeycode/OpenAI/gpt-x"


def test_whole_answer_is_the_fold_of_the_stream() -> None:
    fold = ChatFold("chatcmpl-1", 1_795_000_000, "asked", Presentation())
    fold.receive(BUSY_TURN)
    whole, streamed = judge_chat_completion(fold.answer()), told(BUSY_TURN, include_usage=True)
    message = whole.choices[0].message
    assert message.content == streamed.content
    assert message.model_extra == {"reasoning_content": streamed.reasoning}
    assert whole.choices[0].finish_reason == streamed.finish_reason
    assert whole.usage == streamed.usage
    assert whole.model == streamed.model


def test_usage_is_told_as_the_event_has_it() -> None:
    usage = told([accepted(), started(), text("hi"), ended()], include_usage=True).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 5, 17)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("COMPLETED", "stop"), ("TIME_LIMIT", "length"), ("CANCELLED", "length")],
)
def test_ends(reason: str, finish: str) -> None:
    """P3.1: a limit is never shown as completed."""
    end = ended(pb.EndReason.Value(f"END_REASON_{reason}"))
    assert told([accepted(), started(), text("a"), end]).finish_reason == finish


@pytest.mark.parametrize("reason", ["FAILED", "REPLAY_DIVERGED", "UNSPECIFIED"])
def test_failure_is_an_error_frame_then_done(reason: str) -> None:
    """P7.5: no finish_reason after an error."""
    end = ended(pb.EndReason.Value(f"END_REASON_{reason}"))
    verdict = told([accepted(), started(), text("a"), end])
    assert verdict.finish_reason is None
    assert verdict.error is not None
    assert verdict.error["type"] == "server_error"


def test_failure_names_its_code_and_is_no_whole_answer() -> None:
    events = [accepted(), failed(ErrorReason.ERROR_REASON_QUOTA_EXHAUSTED, "no balance left")]
    error = told(events).error
    assert error is not None
    assert (error["code"], error["message"]) == ("insufficient_quota", "no balance left")
    fold = ChatFold("chatcmpl-1", 1, "asked", Presentation())
    fold.receive(events)
    with pytest.raises(ApiError) as caught:
        fold.answer()
    assert caught.value.headers() == [(b"x-should-retry", b"false")], "the turn ran: do not run it again"


def test_nothing_follows_the_end() -> None:
    stream = ChatStream("chatcmpl-1", 1, "asked", Presentation(), include_usage=False)
    assert stream.receive([accepted(), ended()])
    assert stream.finished
    late = [text("late"), ended(), failed()]
    assert stream.receive(late) + stream.keep_alive() + stream.abandon(ApiError.of(1)) == b""


def test_a_stream_that_is_over_needs_no_collector() -> None:
    """Issue 3: nothing of a request stands in a circle when it is answered."""
    stream = ChatStream("chatcmpl-1", 1_795_000_000, "asked", Presentation(), include_usage=False)
    stream.receive(BUSY_TURN)
    gone = weakref.ref(stream)
    gc.disable()
    try:
        del stream
        assert gone() is None
    finally:
        gc.enable()


def test_opened_before_it_was_accepted() -> None:
    stream = ChatStream("chatcmpl-1", 1, "asked", Presentation(), include_usage=False)
    raw = stream.open() + stream.keep_alive() + stream.receive([accepted(), text("a"), ended()])
    verdict = judge_chat_stream(raw)
    assert (verdict.model, verdict.content, verdict.keep_alives) == ("asked", "a", 1)


def test_cut_off() -> None:
    stream = ChatStream("chatcmpl-1", 1, "asked", Presentation(), include_usage=True)
    raw = stream.receive([accepted(), text("a")])
    raw += stream.abandon(ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE))
    verdict = judge_chat_stream(raw, include_usage=True)
    assert verdict.error is not None
    assert verdict.error["code"] == "service_unavailable"


def test_a_turn_that_says_nothing() -> None:
    """P8.5: an empty answer is an answer."""
    verdict = told([accepted(), started(), ended()])
    assert (verdict.content, verdict.finish_reason) == ("", "stop")


def test_tools_beside_each_other() -> None:
    verdict = told(
        [
            accepted(),
            started(),
            tool("a", 2, raw_input='{"command":"a"}'),
            tool("b", 2, raw_input='{"command":"b"}'),
            tool("a", 3),
            tool("b", 4, output="no"),
            tool("b", 3),
            ended(),
        ]
    )
    assert verdict.reasoning == "[tool] Bash: a\n[tool] Bash: b -> failed: no\n"


def test_question_with_its_automatic_answer() -> None:
    """P6.5: what was asked and what was chosen is told."""
    item = pb.QuestionItem(text="Which?", options=[pb.QuestionOption(label="left")])
    question = pb.Question(question_id="q", items=[item])
    answer = pb.Answer(text="Which?", values=["left"])
    resolved = pb.QuestionResolved(question_id="q", answers=[answer])
    events = [accepted(), started(), pb.TaskEvent(question=question)]
    events += [pb.TaskEvent(question_resolved=resolved), ended()]
    assert told(events).reasoning == "[question] Which? -> left\n"


def test_images_and_notices_are_lines_and_the_rest_is_silent() -> None:
    events = [
        accepted(),
        pb.TaskEvent(progress=pb.Progress(stage="Pending", percent=10)),
        started(),
        pb.TaskEvent(image=pb.Image(mime_type="image/png", data=b"1234")),
        pb.TaskEvent(notice=pb.Notice(kind=pb.NoticeKind.NOTICE_KIND_LLM_RETRY, message="again\nnow")),
        pb.TaskEvent(notice=pb.Notice(kind=pb.NoticeKind.NOTICE_KIND_RECONNECTED, message="x")),
        pb.TaskEvent(raw=pb.Raw(type="t", data="{}")),
        pb.TaskEvent(commands=pb.Commands(commands=[pb.Command(name="compact")])),
        pb.TaskEvent(),
        ended(),
    ]
    assert told(events).reasoning == "[image] image/png, 4 bytes\n[llm retry] again now\n"


def test_awkward_characters_survive() -> None:
    said = 'quote " backslash \\ newline \n 汉字 \U0001f600 \u2028 </script> \x00\x1f'
    verdict = told([accepted(), text(said), thought(said), ended()])
    assert (verdict.content, verdict.reasoning) == (said, said)
