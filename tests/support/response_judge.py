"""Judges responses by the types of the openai package and by the order of openai-surface.md §6.2.

See openai_judge.py: a verdict is what a client would have understood.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.openai_judge import assert_no_extras, sse_frames

_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(ResponseStreamEvent)
SAFE_ITEMS: Final = frozenset({"message", "reasoning", "mcp_call"})
"""The kinds of output items that make no client run anything."""

CLIENT_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
"""The kinds that a client is to carry out: nothing but another of them follows one."""

_TERMINALS: Final = {"response.completed", "response.incomplete", "response.failed"}


def judge_response(raw: bytes, kinds: frozenset[str] = SAFE_ITEMS) -> Response:
    """Judge a whole response: closed items, of which the last is a message, or a call for the client."""
    response = Response.model_validate_json(raw)
    assert_no_extras(response)
    assert response.usage is not None
    _judge_final(response, "response." + str(response.status), kinds)
    return response


@dataclass
class _Item:
    id: str
    type: str
    open: bool = True
    part_open: bool = False
    parts: int = 0
    text: str = ""
    arguments: str | None = None
    outcome: str = ""
    done: Any = None


@dataclass
class ResponseVerdict:
    """What a client of a response stream understood."""

    kinds: frozenset[str] = SAFE_ITEMS
    terminal: str = ""
    response: Any = None
    keep_alives: int = 0
    types: list[str] = field(default_factory=list)
    items: list[_Item] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text of all messages, as it was streamed."""
        return "".join(item.text for item in self.items if item.type == "message")

    @property
    def reasoning(self) -> str:
        """The text of all summaries, as it was streamed."""
        return "".join(item.text for item in self.items if item.type == "reasoning")


def judge_response_stream(raw: bytes, kinds: frozenset[str] = SAFE_ITEMS) -> ResponseVerdict:
    """Judge a response stream: created, in_progress, items each in its order, one terminal event.

    Items of no other kinds may stand in it.
    """
    verdict = ResponseVerdict(kinds)
    for number, (name, data) in enumerate(sse_frames(raw)):
        assert not verdict.terminal, f"{name} comes after {verdict.terminal}"
        event = _EVENT.validate_json(data)
        assert event.type == name
        assert event.sequence_number == number
        assert_no_extras(event)
        verdict.types.append(name)
        if hasattr(event, "response"):
            _judge_lifecycle(verdict, event)
        else:
            assert verdict.types[:2] == ["response.created", "response.in_progress"]
            _STEPS[name](verdict, event)
    assert verdict.terminal, "no terminal event"
    return verdict


def _judge_lifecycle(verdict: ResponseVerdict, event: Any) -> None:
    response = event.response
    before = verdict.response
    if before is None:
        assert event.type == "response.created"
    else:
        same = ("id", "created_at", "model")
        assert [getattr(response, f) for f in same] == [getattr(before, f) for f in same]
    verdict.response = response
    if event.type not in _TERMINALS:
        assert response.status == "in_progress"
        assert event.type == "response.created" if before is None else event.type == "response.in_progress"
        verdict.keep_alives += len(verdict.types) > 2
        return
    verdict.terminal = event.type
    assert not any(item.open for item in verdict.items), "an item is open at the end"
    assert [item.done.model_dump() for item in verdict.items] == [i.model_dump() for i in response.output]
    _judge_final(response, event.type, verdict.kinds)


def _judge_final(response: Any, terminal: str, kinds: frozenset[str]) -> None:
    assert terminal == f"response.{response.status}"
    assert (response.error is not None) == (terminal == "response.failed")
    assert (response.incomplete_details is not None) == (terminal == "response.incomplete")
    assert response.usage is not None
    told = [item.status for item in response.output if item.type != "custom_tool_call"]
    assert all(status in {"completed", "incomplete", "failed"} for status in told)
    if kinds >= CLIENT_CALLS and response.output and response.output[-1].type in CLIENT_CALLS:
        assert terminal == "response.completed"
    elif terminal != "response.failed":
        assert response.output[-1].type == "message", "agent loops call again without a last message"
        assert response.output[-1].phase == "final_answer"


def _item(verdict: ResponseVerdict, event: Any, type_: str) -> _Item:
    item: _Item = verdict.items[event.output_index]
    assert item.open
    assert (item.id, item.type) == (event.item_id, type_)
    return item


def _added(verdict: ResponseVerdict, event: Any) -> None:
    assert event.output_index == len(verdict.items)
    assert event.item.type in verdict.kinds, "clients would run it"
    assert event.item.type == "custom_tool_call" or event.item.status == "in_progress"
    assert event.item.id not in {item.id for item in verdict.items}
    speaking = [i for i in verdict.items if i.open and i.type in {"message", "reasoning"}]
    assert not speaking, "a message or reasoning item is still open"
    verdict.items.append(_Item(event.item.id, event.item.type))


def _done(verdict: ResponseVerdict, event: Any) -> None:
    item, told = verdict.items[event.output_index], event.item
    assert item.open
    assert not item.part_open
    assert (item.id, item.type) == (told.id, told.type)
    if told.type == "message":
        assert item.parts == 1
        assert "".join(part.text for part in told.content) == item.text
    elif told.type == "reasoning":
        assert "".join(part.text for part in told.summary) == item.text
        assert len(told.summary) == item.parts
        assert all(part.text.lstrip().startswith("**") for part in told.summary)
    elif told.type == "mcp_call":
        assert (told.arguments, told.status) == (item.arguments, item.outcome)
        json.loads(told.arguments)
    elif told.type == "custom_tool_call":
        assert told.input == item.text == item.arguments
    elif told.type == "function_call" and verdict.kinds >= CLIENT_CALLS:
        assert told.arguments == item.text == item.arguments
        assert isinstance(json.loads(told.arguments), dict)
    elif told.type == "function_call":
        assert told.arguments == item.arguments
        json.loads(told.arguments)
    else:
        (call,) = [i.done for i in verdict.items if i.type == "function_call" and _calls(i, told)]
        assert (told.type, call.status) == ("function_call_output", told.status)
    item.done, item.open = told, False


def _calls(item: _Item, output: Any) -> bool:
    return item.done is not None and item.done.call_id == output.call_id


def _part_added(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        index = event.content_index if type_ == "message" else event.summary_index
        assert not item.part_open
        assert index == item.parts
        assert event.part.text == ""
        item.part_open, item.parts = True, item.parts + 1
        item.arguments = ""  # the part's text so far

    return step


def _delta(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        assert item.part_open
        assert event.delta
        assert item.arguments is not None
        item.arguments += event.delta
        item.text += event.delta

    return step


def _text_done(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        assert item.part_open
        assert event.text == item.arguments

    return step


def _part_done(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        assert item.part_open
        assert verdict.types[-2].endswith("text.done")
        assert event.part.text == item.arguments
        item.part_open = False

    return step


def _call_running(verdict: ResponseVerdict, event: Any) -> None:
    item = _item(verdict, event, "mcp_call")
    assert verdict.types[-2] == "response.output_item.added"
    assert item.arguments is None


def _arguments_done(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        assert item.arguments is None, "arguments are told once"
        item.arguments = event.arguments

    return step


def _piece(type_: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, type_)
        assert item.arguments is None
        assert event.delta
        item.text += event.delta

    return step


def _input_done(verdict: ResponseVerdict, event: Any) -> None:
    item = _item(verdict, event, "custom_tool_call")
    assert event.input == item.text
    item.arguments = event.input


def _call_over(outcome: str) -> Any:
    def step(verdict: ResponseVerdict, event: Any) -> None:
        item = _item(verdict, event, "mcp_call")
        assert item.arguments is not None
        assert not item.outcome
        item.outcome = outcome

    return step


_STEPS: Final[dict[str, Any]] = {
    "response.output_item.added": _added,
    "response.output_item.done": _done,
    "response.content_part.added": _part_added("message"),
    "response.output_text.delta": _delta("message"),
    "response.output_text.done": _text_done("message"),
    "response.content_part.done": _part_done("message"),
    "response.reasoning_summary_part.added": _part_added("reasoning"),
    "response.reasoning_summary_text.delta": _delta("reasoning"),
    "response.reasoning_summary_text.done": _text_done("reasoning"),
    "response.reasoning_summary_part.done": _part_done("reasoning"),
    "response.mcp_call.in_progress": _call_running,
    "response.mcp_call_arguments.done": _arguments_done("mcp_call"),
    "response.function_call_arguments.done": _arguments_done("function_call"),
    "response.function_call_arguments.delta": _piece("function_call"),
    "response.custom_tool_call_input.delta": _piece("custom_tool_call"),
    "response.custom_tool_call_input.done": _input_done,
    "response.mcp_call.completed": _call_over("completed"),
    "response.mcp_call.failed": _call_over("failed"),
}
