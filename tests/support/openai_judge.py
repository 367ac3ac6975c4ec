"""Judges what Howler says by the types of the openai package and by the orders that its clients rely on.

Every frame must validate, carry no field beyond the types but those of
tests/conformance/extras.txt, and come in the order of openai-surface.md §5.2
and §6.2. A verdict is what a client would have understood.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from openai.pagination import SyncPage
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

_EXTRAS_FILE: Final = Path(__file__).parents[1] / "conformance" / "extras.txt"
_EVENT: Final[TypeAdapter[Any]] = TypeAdapter(ResponseStreamEvent)
SAFE_ITEMS: Final = frozenset({"message", "reasoning", "mcp_call"})
"""The kinds of output items that make no client run anything."""

CLIENT_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
"""The kinds that a client is to carry out: nothing but another of them follows one."""

_TERMINALS: Final = {"response.completed", "response.incomplete", "response.failed"}


def _allowed() -> frozenset[str]:
    lines = _EXTRAS_FILE.read_text().splitlines()
    return frozenset(line.split()[0] for line in lines if line and not line.startswith("#"))


_ALLOWED: Final = _allowed()


def assert_no_extras(value: object) -> None:
    """Fail on a field that the openai types do not have, however deep."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            where = f"{type(value).__name__}.{name}"
            assert where in _ALLOWED, f"{where} is not in extras.txt"
        for name in type(value).model_fields:
            assert_no_extras(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            assert_no_extras(one)


def sse_frames(raw: bytes) -> list[tuple[str, str]]:
    """Return (event, data) of each frame; fails on what crashes an SDK: ids, comments, empty frames."""
    text = raw.decode()
    assert text.endswith("\n\n"), "the stream stops inside a frame"
    frames = []
    for block in text[:-2].split("\n\n"):
        lines = block.split("\n")
        event = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else ""
        assert len(lines) == 1, block
        assert lines[0].startswith("data: "), block
        frames.append((event, lines[0].removeprefix("data: ")))
    return frames


@dataclass
class ChatVerdict:
    """What a client of a chat stream understood."""

    model: str = ""
    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Any = None
    error: dict[str, Any] | None = None
    keep_alives: int = 0
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(name, arguments) of the calls that the client is to carry out."""
    chunks: list[ChatCompletionChunk] = field(default_factory=list)


def judge_chat_stream(raw: bytes, *, include_usage: bool = False) -> ChatVerdict:
    """Judge a chat stream: the role first, deltas, one end, the usage where asked for, `[DONE]` last."""
    verdict = ChatVerdict()
    frames = sse_frames(raw)
    assert all(event == "" for event, _ in frames), "named events break chat clients"
    assert frames[-1][1] == "[DONE]"
    for _, data in frames[:-1]:
        fields = json.loads(data)
        assert verdict.error is None, "nothing follows an error but [DONE]"
        if "error" in fields:
            assert "chat.error" in _ALLOWED
            verdict.error = assert_error(fields)
            continue
        _judge_chunk(verdict, data, include_usage=include_usage)
    ended = verdict.finish_reason is not None
    assert ended != (verdict.error is not None), "exactly one of a finish_reason and an error"
    assert (verdict.usage is not None) == (include_usage and ended)
    first = verdict.chunks[0]
    assert {(c.id, c.created, c.model) for c in verdict.chunks} == {(first.id, first.created, first.model)}
    verdict.model = first.model
    return verdict


def _judge_chunk(verdict: ChatVerdict, data: str, *, include_usage: bool) -> None:
    chunk = ChatCompletionChunk.model_validate_json(data)
    assert_no_extras(chunk)
    assert verdict.usage is None, "nothing follows the usage but [DONE]"
    first = not verdict.chunks
    verdict.chunks.append(chunk)
    if not chunk.choices:
        assert include_usage
        assert verdict.finish_reason is not None, "the usage comes after the end"
        assert chunk.usage is not None
        verdict.usage = chunk.usage
        return
    (choice,) = chunk.choices
    assert verdict.finish_reason is None, "one finish_reason, and no delta after it"
    assert choice.index == 0
    delta = choice.delta
    if first:
        assert delta.role == "assistant"
        assert delta.content == ""
        return
    assert delta.role is None
    reasoning = (delta.model_extra or {}).get("reasoning_content")
    said = [text for text in (delta.content, reasoning) if text is not None]
    assert all(isinstance(text, str) and text for text in said)
    assert not (said and choice.finish_reason)
    for call in delta.tool_calls or []:
        assert not said
        _judge_call(verdict, call)
    silent = not said and not delta.tool_calls and not delta.function_call
    verdict.keep_alives += silent and choice.finish_reason is None
    verdict.content += delta.content or ""
    verdict.reasoning += reasoning or ""
    verdict.finish_reason = choice.finish_reason


def _judge_call(verdict: ChatVerdict, call: Any) -> None:
    """Judge a piece of a call: id, type and name first, the arguments after them, one call after another."""
    if call.id is not None:
        assert (call.index, call.type) == (len(verdict.calls), "function")
        assert call.function.arguments == ""
        verdict.calls.append((call.function.name, ""))
        return
    name, arguments = verdict.calls.pop()
    assert call.index == len(verdict.calls)
    assert call.function.name is None
    verdict.calls.append((name, arguments + call.function.arguments))


def judge_chat_completion(raw: bytes) -> ChatCompletion:
    """Judge a whole chat completion."""
    answer = ChatCompletion.model_validate_json(raw)
    assert_no_extras(answer)
    assert answer.usage is not None
    (choice,) = answer.choices
    assert isinstance(choice.message.content, str)
    return answer


def judge_response(raw: bytes, kinds: frozenset[str] = SAFE_ITEMS) -> Response:
    """Judge a whole response: closed items, of which the last is a message, or a call for the client."""
    response = Response.model_validate_json(raw)
    assert_no_extras(response)
    assert response.usage is not None
    _judge_final(response, "response." + str(response.status), kinds)
    return response


def assert_error(fields: dict[str, Any]) -> dict[str, Any]:
    """Judge an error envelope and return its error."""
    assert set(fields) == {"error"}
    error: dict[str, Any] = fields["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    return error


def judge_models(raw: bytes) -> list[Model]:
    """Judge a model list."""
    page = SyncPage[Model].model_validate_json(raw)
    assert page.object == "list"
    assert_no_extras(page)
    return page.data


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
