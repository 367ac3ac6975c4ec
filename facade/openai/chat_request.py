"""Reads a request of POST /v1/chat/completions: body in, turn to ask for out."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from msgspec import Raw

from facade.errors import invalid, unsupported
from facade.openai.client_tools.declared import ClientTools
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.client_tools.reading import choose, read_functions, read_tools
from facade.openai.json_answer import read_format
from facade.openai.start import Asked
from facade.openai.transcript import INSTRUCTING, CallStyle, TranscriptWriter, text_of
from facade.openai.wire import ChatBody, ChatMessage, ignored_fields, loose_text, members_of, parse

_HONOURED: Final = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "n",
        "modalities",
        "tool_choice",
        "function_call",
        "metadata",
        "user",
        "response_format",
    }
)
_OF_TOOLS: Final = frozenset({"tools", "functions", "parallel_tool_calls"})


class ChatRequest(NamedTuple):
    """A chat request: what it asks of the agent, how the answer is to be told, and its fields, unread."""

    asked: Asked
    include_usage: bool
    members: Mapping[str, Raw]


def read_chat(body: bytes, mode: ClientToolsMode = ClientToolsMode.IGNORE) -> ChatRequest:
    """Return what the body asks; raises the 400 that names what is wrong in it."""
    chat, members = parse(body, ChatBody), members_of(body)
    _reject_unserved(chat)
    emulated = mode is ClientToolsMode.EMULATE
    if not emulated:
        _reject_choices(chat)
    transcript = TranscriptWriter("messages", CallStyle.ENVELOPES if emulated else CallStyle.NOTES)
    for index, message in enumerate(chat.messages):
        _write(transcript, message, f"messages[{index}]")
    asked = Asked(
        model=chat.model or "",
        stream=bool(chat.stream),
        conversation=transcript.conversation(),
        attachments=tuple(transcript.enclosures.attachments()),
        instructions=transcript.instructions(),
        declares_tools=bool(chat.tools or chat.functions),
        ignored=tuple(ignored_fields(members, _HONOURED | _OF_TOOLS if emulated else _HONOURED)),
        client_tools=_tools(chat) if emulated else None,
        json_format=read_format(chat.response_format, "response_format"),
    )
    options = chat.stream_options
    include_usage = options is not None and bool(options.include_usage)
    return ChatRequest(asked, include_usage, members)


def _reject_unserved(chat: ChatBody) -> None:
    """Refuse what would change the shape of the answer (openai-surface.md §9)."""
    if chat.n is not None and chat.n < 1:
        raise invalid("`n` must be 1.", "n")
    if chat.n is not None and chat.n > 1:
        raise unsupported("An agent gives one answer: `n` must be 1.", "n")
    if chat.modalities and any(kind != "text" for kind in chat.modalities):
        raise unsupported("Only text is answered.", "modalities")


def _reject_choices(chat: ChatBody) -> None:
    for choice, param in ((chat.tool_choice, "tool_choice"), (chat.function_call, "function_call")):
        if bytes(choice) not in (b"null", b'"auto"', b'"none"') and not _allows_none(choice):
            raise unsupported("A call of a client's tool cannot be forced.", param)


def _tools(chat: ChatBody) -> ClientTools | None:
    parallel = chat.parallel_tool_calls is not False
    if chat.functions and not chat.tools:
        functions = read_functions(chat.functions)
        return choose(functions, chat.function_call, parallel=False, param="function_call")
    return choose(read_tools(chat.tools), chat.tool_choice, parallel=parallel)


def _allows_none(choice: Raw) -> bool:
    """Say whether a `tool_choice` object merely narrows which tools may be called."""
    if not bytes(choice).startswith(b"{"):
        return False
    fields = parse(choice, dict[str, Raw], "tool_choice")
    inner = parse(fields.get("allowed_tools", Raw(b"{}")), dict[str, Raw], "tool_choice.allowed_tools")
    return bytes(inner.get("mode", Raw(b"null"))) == b'"auto"'


def _write(transcript: TranscriptWriter, message: ChatMessage, param: str) -> None:
    enclosures = None if message.role in INSTRUCTING else transcript.enclosures
    text = text_of(message.content, f"{param}.content", enclosures)
    if message.role in {"tool", "function"}:
        transcript.result(text, message.tool_call_id, param, message.name or "")
        return
    transcript.say(message.role, text, param, message.name or "")
    if message.role != "assistant":
        return
    for index, call in enumerate(message.tool_calls or []):
        called = call.function or call.custom
        if called is not None:
            arguments = loose_text(called.arguments) or loose_text(called.input)
            transcript.call(called.name, arguments, call.id, f"{param}.tool_calls[{index}]")
    if message.function_call is not None:
        called = message.function_call
        transcript.call(called.name, loose_text(called.arguments), None, f"{param}.function_call")
