"""The shapes of answers, for the reference alone: nothing is encoded or decoded by them but in tests."""

from typing import Any, Literal

from msgspec import Struct


class ChatUsage(Struct):
    """What a chat or a completion used; zeros where the platform does not tell."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class AnswerMessage(Struct):
    """The answer, and beside it what the agent thought and did."""

    role: Literal["assistant"]
    content: str
    refusal: str | None
    reasoning_content: str | None = None


class ChatChoice(Struct):
    """The one choice of a chat completion."""

    index: int
    message: AnswerMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"]


class ChatCompletion(Struct):
    """A whole chat completion; `created` is in seconds since 1970."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    system_fingerprint: None


class CompletionChoice(Struct):
    """The one choice of a completion."""

    text: str
    index: int
    logprobs: None
    finish_reason: Literal["stop", "length"] | None


class Completion(Struct):
    """A whole completion; `created` is in seconds since 1970."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage


class ResponseUsage(Struct):
    """What a response used; zeros where the platform does not tell."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseError(Struct):
    """Why a response failed."""

    code: str
    message: str


class Response(Struct):
    """A response; `created_at` and `completed_at` are in seconds since 1970.

    The last item of `output` is a message. `mcp_call` items are tools that the agent ran already.
    """

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    output: list[dict[str, Any]]
    usage: ResponseUsage | None
    error: ResponseError | None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    tool_choice: Any
    tools: list[dict[str, Any]]
    store: bool
    background: bool
    previous_response_id: str | None
    completed_at: int | None = None


class Deleted(Struct):
    """A response was forgotten."""

    id: str
    object: Literal["response"]
    deleted: bool


class Items(Struct):
    """A page of items; the ids are empty where there are none."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


class Item(Struct):
    """An item; which other fields it has depends on its type."""

    id: str
    type: str


class Conversation(Struct):
    """A conversation; `created_at` is in seconds since 1970."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class DeletedConversation(Struct):
    """A conversation was forgotten."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: bool


class InputTokens(Struct):
    """How many tokens an input has: an estimate, UTF-8 bytes / 4."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class ModelObject(Struct):
    """A model; `created` is in seconds since 1970, 0 where unknown."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Struct):
    """All models; `models` is Codex's catalogue of the same."""

    object: Literal["list"]
    data: list[ModelObject]
    models: list[dict[str, Any]]


class ErrorObject(Struct):
    """What went wrong: `message` is for people, `code` for programs; `param` names the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(Struct):
    """The envelope of every error."""

    error: ErrorObject


class Health(Struct):
    """What the process says of itself."""

    status: Literal["alive", "ready"]
