"""Judges what Howler says by the types of the openai package and by the orders that its clients rely on.

Every frame must validate, carry no field beyond the types but those of
tests/conformance/extras.txt, and come in the order of openai-surface.md §5.2
(chats) and §6.2 (responses: response_judge.py). A verdict is what a client would have understood.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from openai.pagination import SyncPage
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

_EXTRAS_FILE: Final = Path(__file__).parents[1] / "conformance" / "extras.txt"


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
