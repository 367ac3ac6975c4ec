"""The request fields of the OpenAI API, parsed once from bytes.

Fields that are not named here are accepted and ignored (openai-surface.md §9).
Whatever bytes come, the outcome is a value or a 400 that names its field.
"""

import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from facade.errors import ApiError, invalid

T = TypeVar("T")


def _null() -> Raw:
    return Raw(b"null")


_NOTHING: Final[Raw] = msgspec.field(default_factory=_null)
"""The default of a field that is read later; made for each value, for a schema could not show it."""


class ImageUrl(Struct):
    """Where an image of a chat is: an address, or the image itself as a `data:` URL."""

    url: str


class FileRef(Struct):
    """A file: itself, in base64 or as a `data:` URL, or where it is."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class Part(Struct):
    """A part of a message's content; which fields count depends on `type`.

    Chat puts an image's address and a file into objects, responses has their fields in the part.
    """

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None
    file: FileRef | None = None
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None


class CalledFunction(Struct):
    """What an assistant called: `arguments` of a function, `input` of a custom tool."""

    name: str = ""
    arguments: Raw = _NOTHING
    input: Raw = _NOTHING


class ToolCall(Struct):
    """A tool call of an assistant message."""

    id: str | None = None
    function: CalledFunction | None = None
    custom: CalledFunction | None = None


class ChatMessage(Struct):
    """A message of a chat."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None


class StreamOptions(Struct):
    """How a stream is to be told."""

    include_usage: bool | None = None


class ChatBody(Struct):
    """The body of POST /v1/chat/completions."""

    messages: list[ChatMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    modalities: list[str] | None = None
    tools: list[Raw] | None = None
    functions: list[Raw] | None = None
    tool_choice: Raw = _NOTHING
    function_call: Raw = _NOTHING
    parallel_tool_calls: bool | None = None
    response_format: Raw = _NOTHING


class CompletionBody(Struct):
    """The body of POST /v1/completions."""

    prompt: str | list[str | int | list[int]] | None = None
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    echo: bool | None = None


class Reasoning(Struct):
    """How the model is to think."""

    effort: str | None = None
    summary: str | None = None


class TextShape(Struct):
    """What the text of a response is to be."""

    format: Raw = _NOTHING


class ResponsesBody(Struct):
    """The body of POST /v1/responses."""

    input: str | list[Raw] | None = None
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: str | None = None
    conversation: Raw = _NOTHING
    prompt: Raw = _NOTHING
    reasoning: Reasoning | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = _NOTHING
    parallel_tool_calls: bool | None = None
    text: TextShape | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None


class ConversationBody(Struct):
    """The body of POST /v1/conversations: its first items, and what is kept with it."""

    items: list[Raw] | None = None
    metadata: dict[str, str] | None = None


class MetadataBody(Struct):
    """The body of POST /v1/conversations/{id}."""

    metadata: dict[str, str] | None


class ItemsBody(Struct):
    """The body of POST /v1/conversations/{id}/items."""

    items: list[Raw]


class ItemHead(Struct):
    """What tells the kind of an input item."""

    type: str | None = None
    role: str | None = None


class MessageItem(Struct):
    """A message among the input items."""

    role: str
    content: str | list[Part] | None = None


class CallItem(Struct):
    """A call of a client's tool among the input items."""

    name: str = ""
    namespace: str | None = None
    call_id: str | None = None
    arguments: Raw = _NOTHING
    input: Raw = _NOTHING


class OutputItem(Struct):
    """The result of a client's tool among the input items."""

    call_id: str | None = None
    output: str | list[Part] | None = None


class FunctionTool(Struct, omit_defaults=False):
    """A function that the client declares, as `Response.tools` shows it."""

    name: str
    parameters: dict[str, object] | None = None
    strict: bool | None = None
    description: str | None = None


_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<field>\w+)`")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_NAMES: Final = 32


def parse(body: bytes | Raw, shape: type[T], at: str = "") -> T:
    """Return the JSON as the shape says; raises the 400 that names the wrong field, below the path `at`."""
    try:
        value: T = _decoder(shape).decode(body)  # type: ignore[arg-type]  # mypy: types have no hash
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error), at) from None
    except RecursionError:
        raise invalid("The JSON is nested too deeply.", at or None, None) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("The body is not valid JSON in UTF-8.", at or None, None) from None
    return value


@cache
def _decoder(shape: type[T]) -> msgspec.json.Decoder[Any]:
    """Return what reads the shape; to make one costs more than to read a small body."""
    return msgspec.json.Decoder(shape)


def members_of(body: bytes) -> dict[str, Raw]:
    """Return the body's top-level fields by name, each unread; raises the 400 for what is no object."""
    return parse(body, dict[str, Raw])


def ignored_fields(members: Mapping[str, Raw], honoured: Collection[str]) -> list[str]:
    """Return the top-level fields that are set and not honoured, for `x-gateway-ignored-params`.

    Names that do not fit a header are left out, and so is what comes after the 32nd.
    """
    named = [
        name
        for name, value in members.items()
        if name not in honoured and bytes(value) not in (b"null", b"[]") and _PLAIN_NAME.fullmatch(name)
    ]
    return named[:_MOST_NAMES]


def loose_text(value: Raw) -> str:
    """Return a field that should be a JSON string as text: a string's content, or the JSON as it stands."""
    raw = bytes(value)
    if raw == b"null":
        return ""
    return parse(value, str) if raw.startswith(b'"') else raw.decode(errors="replace")


def checked_text(text: str, param: str) -> str:
    """Return the text; raises the 400 for a NUL, which the platform cannot keep."""
    if "\x00" in text:
        raise invalid("The text holds a NUL character.", param)
    return text


def _wrong_field(message: str, at: str) -> ApiError:
    found = _PATH.search(message)
    path = found["path"] if found else ""
    missing = _MISSING.search(message)
    steps = [at, path.removeprefix("."), missing["field"] if missing else ""]
    param = ".".join(step for step in steps if step).replace(".[", "[")
    told = message[: found.start()] if found else message
    return invalid(f"{told}.", param or None)
