"""Where an answer shows what the agent did beside answering: each display on each API."""

import json

import pytest
from howler.task.v1 import task_event_pb2 as pb

from facade.errors import ApiError
from facade.openai.asides import MARK, strip_added
from facade.openai.chat_request import read_chat
from facade.openai.chat_stream import ChatStream
from facade.openai.presentation import Audience, Presentation, ReasoningField, Thinking, ToolDisplay
from facade.openai.responses_request import Echo, read_responses
from facade.openai.responses_stream import ResponsesStream
from tests.support.facade import accepted, ended, plan, started, text, thought, tool
from tests.support.openai_judge import ChatVerdict, judge_chat_stream
from tests.support.response_judge import SAFE_ITEMS, ResponseVerdict, judge_response_stream

TURN = [
    accepted(),
    started(),
    thought("Let me "),
    thought("look."),
    tool("a", 2, raw_input='{"command":"ls"}'),
    tool("a", 3, output="a.py"),
    text("It is "),
    tool("b", 2, title="Edit a.py"),
    tool("b", 4, title="Edit a.py", output="no space"),
    plan(("find it", 3), ("fix it", 2)),
    text("broken."),
    ended(),
]
SAID = "It is broken."
LINES = (
    "Let me look.\n[tool] Bash: ls -> done\n[tool] Edit a.py -> failed: no space\n"
    "[plan]\n- [x] find it\n- [~] fix it\n"
)
TEXT = Presentation(tools=ToolDisplay.TEXT)
PREFIX = Presentation(thinking=Thinking.PREFIX)
CALLS = SAFE_ITEMS | {"function_call", "function_call_output"}


def chat(shown: Presentation) -> ChatVerdict:
    stream = ChatStream("chatcmpl-1", 1, "asked", shown, include_usage=False)
    return judge_chat_stream(stream.receive(TURN))


def response(shown: Presentation) -> ResponseVerdict:
    return judge_response_stream(ResponsesStream("u1", 1, "asked", Echo(), shown).receive(TURN), CALLS)


def messages(verdict: ResponseVerdict) -> list[tuple[str, str]]:
    return [
        (item.phase, item.content[0].text.replace(MARK, "·"))
        for item in verdict.response.output
        if item.type == "message"
    ]


@pytest.mark.parametrize("display", [ToolDisplay.AUTO, ToolDisplay.REASONING, ToolDisplay.FUNCTION_CALL])
def test_chat_tells_it_as_reasoning(display: ToolDisplay) -> None:
    """Never as `tool_calls`: clients would run them."""
    verdict = chat(Presentation(tools=display))
    assert (verdict.content, verdict.reasoning) == (SAID, LINES)


def test_chat_tells_tools_in_the_text() -> None:
    verdict = chat(TEXT)
    assert verdict.reasoning == "Let me look."
    assert verdict.content.replace(MARK, "·") == (
        "·> [tool] Bash: ls -> done\n\n·It is ·\n\n> [tool] Edit a.py -> failed: no space\n"
        "> [plan]\n> - [x] find it\n> - [~] fix it\n\n·broken."
    )


def test_chat_tells_thoughts_in_the_text() -> None:
    """P6.2: as peers do, after a prefix."""
    verdict = chat(PREFIX)
    assert verdict.content.replace(MARK, "·") == "·[Thinking] Let me look.\n\n·It is broken."
    assert verdict.reasoning.startswith("[tool] Bash: ls")


def test_chat_tells_no_thoughts() -> None:
    """P6.2"""
    assert chat(Presentation(thinking=Thinking.OFF)).reasoning == LINES.removeprefix("Let me look.\n")


def test_chat_tells_reasoning_between_tags() -> None:
    verdict = chat(Presentation(reasoning_field=ReasoningField.THINK_TAGS))
    thoughts = f"<think>{MARK}Let me look.\n[tool] Bash: ls -> done\n{MARK}</think>\n\n"
    assert verdict.content.startswith(f"{thoughts}It is <think>")
    assert verdict.reasoning == ""


def test_chat_tells_reasoning_in_both_fields() -> None:
    verdict = chat(Presentation(reasoning_field=ReasoningField.BOTH))
    extras = [chunk.choices[0].delta.model_extra or {} for chunk in verdict.chunks]
    told = [extra for extra in extras if extra]
    assert "".join(extra["reasoning"] for extra in told) == LINES
    assert all(extra["reasoning"] == extra["reasoning_content"] for extra in told)


def test_response_tells_tools_in_summaries() -> None:
    verdict = response(Presentation(tools=ToolDisplay.REASONING))
    assert {item.type for item in verdict.items} == {"reasoning", "message"}
    assert "**Bash: ls**\n\ndone" in verdict.reasoning


def test_response_tells_tools_in_commentary() -> None:
    assert messages(response(TEXT)) == [
        ("commentary", "·> [tool] Bash: ls -> done\n\n·"),
        ("commentary", "It is "),
        (
            "commentary",
            "·> [tool] Edit a.py -> failed: no space\n> [plan]\n> - [x] find it\n> - [~] fix it\n\n·",
        ),
        ("final_answer", "broken."),
    ]


def test_response_tells_thoughts_in_commentary() -> None:
    """P6.2"""
    assert messages(response(PREFIX))[0] == ("commentary", "·[Thinking] Let me look.\n\n·")


def test_response_tells_no_thoughts() -> None:
    """P6.2"""
    assert "Let me" not in response(Presentation(thinking=Thinking.OFF)).reasoning


def test_response_tells_calls_with_their_outputs() -> None:
    """P8.3, P8.4: for whoever wants them so."""
    output = response(Presentation(tools=ToolDisplay.FUNCTION_CALL)).response.output
    (call, failed), (result, failure) = (
        [item for item in output if item.type == kind] for kind in ("function_call", "function_call_output")
    )
    assert (call.name, json.loads(call.arguments), call.status) == ("Bash", {"command": "ls"}, "completed")
    assert (result.call_id, result.output) == (call.call_id, "a.py")
    assert (failed.status, failure.status, failure.output) == ("incomplete", "incomplete", "no space")


def test_nothing_but_the_answer() -> None:
    shown = Presentation(tools=ToolDisplay.NONE)
    assert (chat(shown).content, chat(shown).reasoning) == (SAID, "")
    assert messages(response(shown)) == [("final_answer", SAID)]


@pytest.mark.parametrize("shown", [TEXT, PREFIX, Presentation(reasoning_field=ReasoningField.THINK_TAGS)])
def test_what_was_added_comes_off_what_a_client_sends_back(shown: Presentation) -> None:
    """The agent is told its own words only, and its conversation is known by them."""
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": chat(shown).content}]
    asked = read_chat(json.dumps({"messages": [*history, {"role": "user", "content": "b"}]}).encode()).asked
    assert [message.text for message in asked.conversation.messages] == ["a", SAID, "b"]


def test_calls_and_commentary_that_a_client_sends_back_are_left_out() -> None:
    for shown in (TEXT, Presentation(tools=ToolDisplay.FUNCTION_CALL)):
        sent = [item.model_dump() for item in response(shown).response.output]
        history = [{"role": "user", "content": "a"}, *sent, {"role": "user", "content": "b"}]
        asked = read_responses(json.dumps({"input": history}).encode()).asked
        assert [message.text for message in asked.conversation.messages] == ["a", "It is ", "broken.", "b"]


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_stretch_that_was_cut_off_comes_off_too(cut: int) -> None:
    told = f"It is {MARK}\n\n> [tool] Edit a.py -> failed: no space\n\n{MARK}broken."
    assert SAID.startswith(strip_added(told[:cut]))


def test_a_marks_impostor_in_an_aside_does_no_harm() -> None:
    stream = ChatStream("chatcmpl-1", 1, "asked", PREFIX, include_usage=False)
    turn = [accepted(), thought(f"a{MARK}b"), text(SAID), ended()]
    assert strip_added(judge_chat_stream(stream.receive(turn)).content) == SAID


def test_a_request_says_how_it_is_told() -> None:
    headers = {"x-gateway-tool-display": "None", "x-gateway-thinking": "off", "originator": "codex_exec"}
    asked = PREFIX.asked_by(headers)
    assert (asked.tools, asked.thinking, asked.audience) == (ToolDisplay.NONE, Thinking.OFF, Audience.CODEX)
    assert PREFIX.asked_by({}) == PREFIX
    with pytest.raises(ApiError) as caught:
        PREFIX.asked_by({"x-gateway-tool-display": "loud"})
    assert (caught.value.status, caught.value.param) == (400, "x-gateway-tool-display")


def test_a_keep_alive_of_the_log_is_told_on_either_api() -> None:
    """openai-surface.md §8: a stored response numbers it like any event."""
    turn = [accepted(), pb.TaskEvent(keep_alive=pb.KeepAlive()), text("a"), ended()]
    stream = ChatStream("chatcmpl-1", 1, "asked", Presentation(), include_usage=False)
    assert judge_chat_stream(stream.receive(turn)).keep_alives == 1
    machine = ResponsesStream("u1", 1, "asked", Echo(), Presentation())
    assert judge_response_stream(machine.receive(turn)).keep_alives == 1
