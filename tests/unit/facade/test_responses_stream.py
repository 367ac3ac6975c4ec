"""The responses machine: what a client of a response understands of a turn, streamed and whole."""

import json

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_event_pb2 as pb

from facade.errors import ApiError
from facade.openai.fold import ResponsesFold
from facade.openai.presentation import Audience, Presentation
from facade.openai.responses_request import Echo
from facade.openai.responses_stream import ResponsesStream
from facade.openai.tools import MOST_OUTPUT
from facade.openai.wire import FunctionTool
from tests.support.facade import accepted, ended, failed, plan, started, text, thought, tool
from tests.support.openai_judge import sse_frames
from tests.support.response_judge import ResponseVerdict, judge_response, judge_response_stream

BUSY_TURN = [
    accepted(),
    started(),
    thought("Let me "),
    thought("look"),
    text("I look. "),
    tool("a", 1),
    tool("a", 2, raw_input='{"command":"pytest -q"}'),
    tool("a", 4, output="exit 1"),
    plan(("find it", 3), ("fix it", 2)),
    tool("b", 3, title="Edit a.py", raw_input='{"path":"a.py"}', output="ok"),
    text("Fixed."),
    ended(),
]


def machine(echo: Echo | None = None, shown: Presentation | None = None) -> ResponsesStream:
    return ResponsesStream("u1", 1_795_000_000, "asked", echo or Echo(), shown or Presentation())


def told(events: list[pb.TaskEvent], audience: Audience = Audience.ANY) -> ResponseVerdict:
    shown = Presentation(audience=audience)
    return judge_response_stream(machine(shown=shown).receive(events))


def test_each_kind_of_item() -> None:
    """P6.1-P6.4, P8.1-P8.4: reasoning, messages and finished tool calls in their order."""
    verdict = told(BUSY_TURN)
    assert verdict.terminal == "response.completed"
    reasoning, narration, failed_tool, checklist, done_tool, answer = verdict.response.output
    assert reasoning.summary[0].text == "**Thinking**\n\nLet me look"
    assert (narration.content[0].text, narration.phase) == ("I look. ", "commentary")
    assert (failed_tool.name, failed_tool.status) == ("Bash", "failed")
    assert failed_tool.server_label == "monkeycode"
    assert json.loads(failed_tool.arguments) == {"command": "pytest -q"}
    assert failed_tool.error.type == "mcp_tool_execution_error"
    assert failed_tool.error.content == [{"type": "text", "text": "exit 1"}]
    assert failed_tool.output is None
    assert checklist.summary[0].text == "**Plan**\n\n- [x] find it\n- [~] fix it"
    assert (done_tool.name, done_tool.output, done_tool.error) == ("Edit a.py", "ok", None)
    assert (answer.content[0].text, answer.phase) == ("Fixed.", "final_answer")
    assert verdict.response.completed_at == 1_795_000_042
    assert verdict.response.model == "monkeycode/OpenAI/gpt-x"


def test_whole_answer_is_the_fold_of_the_stream() -> None:
    fold = ResponsesFold(machine())
    fold.receive(BUSY_TURN)
    assert judge_response(fold.answer()) == told(BUSY_TURN).response


def test_usage_is_told_as_the_event_has_it() -> None:
    usage = told(BUSY_TURN).response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (12, 5, 17)


@pytest.mark.parametrize(
    ("reason", "terminal"),
    [("COMPLETED", "completed"), ("TIME_LIMIT", "incomplete"), ("CANCELLED", "incomplete")],
)
def test_ends(reason: str, terminal: str) -> None:
    """P3.1, P7.4: a limit is never shown as completed."""
    end = ended(pb.EndReason.Value(f"END_REASON_{reason}"))
    verdict = told([accepted(), started(), text("a"), end])
    assert verdict.terminal == f"response.{terminal}"
    if terminal == "incomplete":
        assert verdict.response.incomplete_details.reason == "max_output_tokens"
        assert verdict.response.output[-1].status == "incomplete"


@pytest.mark.parametrize("reason", ["FAILED", "REPLAY_DIVERGED", "UNSPECIFIED"])
def test_failure_is_response_failed_alone(reason: str) -> None:
    """P7.5, P8.6: with what was said until then."""
    end = ended(pb.EndReason.Value(f"END_REASON_{reason}"))
    verdict = told([accepted(), started(), text("half"), end])
    assert verdict.terminal == "response.failed"
    assert verdict.response.error.code == "server_error"
    assert verdict.response.output[-1].content[0].text == "half"
    assert "error" not in verdict.types


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (ErrorReason.ERROR_REASON_POOL_EXHAUSTED, "rate_limit_exceeded"),
        (ErrorReason.ERROR_REASON_QUOTA_EXHAUSTED, "invalid_prompt"),
        (ErrorReason.ERROR_REASON_PROMPT_TOO_LARGE, "invalid_prompt"),
        (ErrorReason.ERROR_REASON_VM_FAILED, "server_error"),
    ],
)
def test_error_codes_stay_in_the_closed_set(reason: int, code: str) -> None:
    assert told([accepted(), failed(reason)]).response.error.code == code


def test_codex_does_not_run_a_failed_turn_again() -> None:
    ran, never_ran = [accepted(), started(), failed()], [accepted(), failed()]
    assert told(ran, Audience.CODEX).response.error.code == "invalid_prompt"
    assert told(never_ran, Audience.CODEX).response.error.code == "server_error"
    assert told(ran).response.error.code == "server_error"


def test_codex_is_told_of_tools_in_reasoning() -> None:
    verdict = told(BUSY_TURN, Audience.CODEX)
    summaries = [p.text for i in verdict.response.output if i.type == "reasoning" for p in i.summary]
    assert "**Bash: pytest -q**\n\nfailed: exit 1" in summaries
    assert "**Edit a.py**\n\ndone" in summaries
    assert verdict.response.output[-1].type == "message"


@pytest.mark.parametrize(
    "events",
    [
        [accepted(), ended()],
        [accepted(), started(), thought("hm"), ended()],
        [accepted(), started(), tool("a", 3), ended()],
        [ended()],
    ],
    ids=["nothing", "thought", "tool", "not even accepted"],
)
def test_last_item_is_a_message(events: list[pb.TaskEvent]) -> None:
    """P8.5: without one agent loops call again."""
    last = told(events).response.output[-1]
    assert last.type == "message"
    assert last.content[0].text == ""


def test_tools_that_overlap_each_other_and_text() -> None:
    verdict = told(
        [
            accepted(),
            started(),
            tool("a", 2),
            tool("b", 2),
            text("meanwhile"),
            tool("a", 3, output="A"),
            text(", going on"),
            tool("b", 3, output="B"),
            tool("b", 4, output="late"),
            ended(),
        ]
    )
    first, second, message = verdict.response.output
    assert (first.output, second.output) == ("A", "B")
    assert message.content[0].text == "meanwhile, going on"


def test_tool_left_open_is_told_failed() -> None:
    stream = machine()
    raw = stream.receive([accepted(), started(), tool("a", 2)])
    raw += stream.abandon(ApiError.of(ErrorReason.ERROR_REASON_SLOW_CONSUMER))
    verdict = judge_response_stream(raw)
    assert verdict.response.output[0].status == "failed"


def test_long_output_is_cut_on_a_character() -> None:
    output = "汉" * MOST_OUTPUT
    item = told([accepted(), tool("a", 3, output=output), ended()]).response.output[0]
    kept = item.output.split("\n")[0]
    assert kept == output[: len(kept)]
    assert MOST_OUTPUT - 3 < len(kept.encode()) <= MOST_OUTPUT
    assert str(len(output.encode())) in item.output


@pytest.mark.parametrize("broken", ['{"a":', "[" * 5000, "plain words"])
def test_arguments_are_always_json(broken: str) -> None:
    item = told([accepted(), tool("a", 3, raw_input=broken), ended()]).response.output[0]
    assert json.loads(item.arguments) == {"input": broken}


def test_raw_output_stands_in_for_output() -> None:
    item = told([accepted(), tool("a", 3, raw_output='{"n":1}'), ended()]).response.output[0]
    assert item.output == '{"n":1}'


def test_thought_that_brings_its_heading_keeps_it() -> None:
    verdict = told([accepted(), thought("**Reading**\n"), thought("so"), ended()])
    assert verdict.reasoning == "**Reading**\nso"


def test_keep_alive_is_an_event_with_the_next_number() -> None:
    stream = machine()
    raw = stream.open() + stream.keep_alive() + stream.receive([accepted(), text("a")])
    raw += stream.keep_alive() + stream.receive([text("b"), ended()])
    verdict = judge_response_stream(raw)
    assert (verdict.keep_alives, verdict.text, verdict.response.model) == (2, "ab", "asked")


def test_nothing_follows_the_end() -> None:
    stream = machine()
    assert stream.receive([accepted(), ended()])
    assert stream.receive([text("late"), ended()]) + stream.keep_alive() == b""
    assert stream.abandon(ApiError.of(1)) == b""


def test_request_is_echoed_in_the_final_response_alone() -> None:
    function = FunctionTool("f", {"type": "object"}, None, "what it does")
    echo = Echo(
        instructions="be brief",
        metadata={"k": "v"},
        tools=(function,),
        tool_choice="none",
        temperature=0.5,
        max_output_tokens=10,
        effort="high",
        store=True,
    )
    stream = machine(echo)
    opened = json.loads(sse_frames(stream.open())[0][1])["response"]
    assert (opened["tools"], opened["instructions"]) == ([], None)
    stream.receive([accepted(), ended()])
    assert stream.response is not None
    final = judge_response(json.dumps(stream.response).encode())
    assert final.instructions == "be brief"
    assert final.metadata == {"k": "v"}
    assert final.tools[0].model_dump(include={"name", "parameters"}) == {
        "name": "f",
        "parameters": {"type": "object"},
    }
    assert final.tool_choice == "none"
    assert final.model_extra == {"store": True}


def test_failed_turn_is_no_whole_answer() -> None:
    """P2.4: a failure is an HTTP error, and the turn is not to run again."""
    fold = ResponsesFold(machine())
    fold.receive([accepted(), started(), text("half"), failed(message="it broke")])
    with pytest.raises(ApiError, match="it broke") as caught:
        fold.answer()
    assert caught.value.status == 502
    assert caught.value.headers() == [(b"x-should-retry", b"false")]
