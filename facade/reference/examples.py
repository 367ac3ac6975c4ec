"""The examples of the reference. Those of answers are made by the machines that make the answers."""

from typing import Final

import msgspec
from howler.model.v1.model_service_pb2 import Model
from howler.task.v1.task_event_pb2 import (
    Accepted,
    Ended,
    EndReason,
    Started,
    TaskEvent,
    TextDelta,
    ThoughtDelta,
    TokenUsage,
    Usage,
    UsageSource,
)
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState

from facade.errors import invalid
from facade.openai.chat_stream import ChatStream
from facade.openai.completion_stream import CompletionFold, CompletionStream
from facade.openai.fold import ChatFold, ResponsesFold
from facade.openai.model_list import model_list, model_object
from facade.openai.presentation import Presentation
from facade.openai.responses_request import Echo
from facade.openai.responses_stream import ResponsesStream

MODEL: Final = "monkeycode/OpenAI/gpt-x"
_MODEL: Final = Model(id=MODEL, provider="OpenAI", model="gpt-x", context_limit=272_000)
_AT: Final = 1_795_000_000
_PROMPT: Final = "Fix the failing test."
_SHOWN: Final = Presentation()

_TOKENS: Final = TokenUsage(
    input_tokens=120, output_tokens=30, total_tokens=150, source=UsageSource.USAGE_SOURCE_EXACT
)
_TURN: Final = [
    TaskEvent(accepted=Accepted(model=_MODEL)),
    TaskEvent(started=Started()),
    TaskEvent(thought_delta=ThoughtDelta(text="Looking for the failing test.")),
    TaskEvent(
        tool_call=ToolCall(
            id="1",
            title="Bash",
            kind="execute",
            state=ToolCallState.TOOL_CALL_STATE_COMPLETED,
            raw_input='{"command":"pytest -q"}',
            output="1 failed, 41 passed",
        )
    ),
    TaskEvent(text_delta=TextDelta(text="Fixed the off-by-one in pager.py.")),
    TaskEvent(
        time_unix_ms=(_AT + 42) * 1000,
        ended=Ended(reason=EndReason.END_REASON_COMPLETED, usage=Usage(tokens=_TOKENS)),
    ),
]

CHAT_REQUESTS: Final[dict[str, object]] = {
    "whole": {"model": "default", "messages": [{"role": "user", "content": _PROMPT}]},
    "streamed": {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": [{"type": "text", "text": _PROMPT}]},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
}
COMPLETION_REQUESTS: Final[dict[str, object]] = {
    "whole": {"model": "default", "prompt": _PROMPT},
    "streamed": {"model": "default", "prompt": _PROMPT, "stream": True},
}
RESPONSE_REQUESTS: Final[dict[str, object]] = {
    "whole": {"model": "default", "input": _PROMPT},
    "streamed": {
        "model": MODEL,
        "instructions": "Answer in one sentence.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": _PROMPT}]}],
        "stream": True,
    },
}


def chat_answer() -> object:
    """Return a whole chat completion."""
    fold = ChatFold("chatcmpl-1", _AT, MODEL, _SHOWN)
    fold.receive(_TURN)
    return msgspec.json.decode(fold.answer())


def chat_stream() -> str:
    """Return a streamed one."""
    return ChatStream("chatcmpl-1", _AT, MODEL, _SHOWN, include_usage=True).receive(_TURN).decode()


def completion_answer() -> object:
    """Return a whole completion."""
    fold = CompletionFold("cmpl-1", _AT, MODEL, _SHOWN)
    fold.receive(_TURN)
    return msgspec.json.decode(fold.answer())


def completion_stream() -> str:
    """Return a streamed one."""
    return CompletionStream("cmpl-1", _AT, MODEL, _SHOWN, include_usage=False).receive(_TURN).decode()


DELETED: Final = {"id": "resp_1", "object": "response", "deleted": True}

ITEM: Final = {
    "id": "msg_1_in0",
    "type": "message",
    "status": "completed",
    "role": "user",
    "content": [{"type": "input_text", "text": "Say hello"}],
}
INPUT_ITEMS: Final = {
    "object": "list",
    "data": [ITEM],
    "first_id": "msg_1_in0",
    "last_id": "msg_1_in0",
    "has_more": False,
}


CONVERSATION: Final = {
    "id": "conv_1",
    "object": "conversation",
    "created_at": _AT,
    "metadata": {"ticket": "4711"},
}
DELETED_CONVERSATION: Final = {"id": "conv_1", "object": "conversation.deleted", "deleted": True}
CONVERSATION_REQUESTS: Final[dict[str, object]] = {
    "empty": {},
    "seeded": {"items": [{"role": "user", "content": "My name is Ann."}], "metadata": {"ticket": "4711"}},
}


def response_answer() -> object:
    """Return a whole response."""
    fold = ResponsesFold(ResponsesStream("1", _AT, MODEL, Echo(), _SHOWN))
    fold.receive(_TURN)
    return msgspec.json.decode(fold.answer())


def response_stream() -> str:
    """Return a streamed one."""
    return ResponsesStream("1", _AT, MODEL, Echo(), _SHOWN).receive(_TURN).decode()


def models_answer() -> object:
    """Return a list of models."""
    return msgspec.json.decode(model_list([_MODEL]))


def model_answer() -> object:
    """Return one model."""
    return model_object(_MODEL)


def error_answer() -> object:
    """Return an error."""
    return msgspec.json.decode(invalid("Expected `str`, got `int`.", "model").body())
