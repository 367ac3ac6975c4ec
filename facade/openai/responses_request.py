"""Reads a request of POST /v1/responses: body in, turn to ask for out.

Input items of kinds that are not told to the agent (reasoning, the agent's own
`mcp_call`s, references to stored items, kinds unknown) are skipped, as
openai-surface.md §6.7 wants.
"""

from dataclasses import dataclass
from typing import Final

from msgspec import Raw

from facade.errors import invalid, unsupported
from facade.openai.client_tools.declared import ClientTools
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.client_tools.reading import choose, read_tools
from facade.openai.compaction import since_summary
from facade.openai.continuation import conversation_of
from facade.openai.json_answer import read_format
from facade.openai.start import Asked
from facade.openai.transcript import INSTRUCTING, CallStyle, TranscriptWriter, text_of
from facade.openai.wire import (
    CallItem,
    FunctionTool,
    ItemHead,
    MessageItem,
    OutputItem,
    ResponsesBody,
    TextShape,
    checked_text,
    ignored_fields,
    loose_text,
    members_of,
    parse,
)

_HONOURED: Final = frozenset(
    {
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "store",
        "background",
        "metadata",
        "user",
        "previous_response_id",
        "conversation",
        "prompt",
        "tool_choice",
    }
)
_OF_TOOLS: Final = frozenset({"tools", "parallel_tool_calls"})
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})


@dataclass(frozen=True, slots=True)
class Echo:
    """The fields of a request that its response repeats, ready as JSON values.

    A response is stored unless the request says otherwise.
    """

    instructions: str | None = None
    metadata: dict[str, str] | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: object = "auto"
    parallel_tool_calls: bool = True
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    effort: str | None = None
    summary: str | None = None
    store: bool = True
    background: bool = False
    previous_response_id: str | None = None
    conversation: str | None = None
    text_format: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A responses request: what it asks of the agent and what the response repeats of it."""

    asked: Asked
    echo: Echo


def read_responses(body: bytes, mode: ClientToolsMode = ClientToolsMode.IGNORE) -> ResponsesRequest:
    """Return what the body asks; raises the 400 that names what is wrong in it."""
    wanted = parse(body, ResponsesBody)
    _reject_unserved(wanted)
    emulated = mode is ClientToolsMode.EMULATE
    if not emulated:
        _reject_choice(wanted.tool_choice)
    transcript = TranscriptWriter("input", CallStyle.ENVELOPES if emulated else CallStyle.NOTES)
    if wanted.instructions:
        transcript.say("system", checked_text(wanted.instructions, "instructions"), "instructions")
    if isinstance(wanted.input, str):
        transcript.say("user", checked_text(wanted.input, "input"), "input")
    else:
        for index, item in enumerate(wanted.input or []):
            _write(transcript, item, f"input[{index}]")
    asked = Asked(
        model=wanted.model or "",
        stream=bool(wanted.stream),
        conversation=since_summary(transcript.conversation()),
        attachments=tuple(transcript.enclosures.attachments()),
        instructions=transcript.instructions(),
        declares_tools=bool(wanted.tools),
        ignored=tuple(ignored_fields(members_of(body), _honoured(wanted, mode))),
        client_tools=_tools(wanted) if emulated else None,
        json_format=None if wanted.text is None else read_format(wanted.text.format, "text.format"),
    )
    return ResponsesRequest(asked, _echo(wanted))


def read_echo(body: bytes) -> tuple[str, Echo]:
    """Return the model that a body names and what its response repeats; raises the 400."""
    wanted = parse(body, ResponsesBody)
    _reject_unserved(wanted)
    return wanted.model or "default", _echo(wanted)


def _reject_unserved(wanted: ResponsesBody) -> None:
    """Refuse what would change the shape of the answer (openai-surface.md §9), and contradictions."""
    if wanted.background and wanted.store is False:
        raise invalid("A background response must be stored.", "background")
    if wanted.previous_response_id is not None and _is_set(wanted.conversation):
        raise invalid("Give `previous_response_id` or `conversation`, not both.", "previous_response_id")
    if _is_set(wanted.prompt):
        raise unsupported("Stored prompts are not supported.", "prompt")


def _reject_choice(choice: Raw) -> None:
    if bytes(choice) not in (b"null", b'"auto"', b'"none"') and not _narrows(choice):
        raise unsupported("A call of a client's tool cannot be forced.", "tool_choice")


def _honoured(wanted: ResponsesBody, mode: ClientToolsMode) -> frozenset[str]:
    formed = {"text"} if wanted.text is not None and _is_set(wanted.text.format) else set()
    return _HONOURED | formed | (_OF_TOOLS if mode is ClientToolsMode.EMULATE else frozenset())


def _tools(wanted: ResponsesBody) -> ClientTools | None:
    parallel = wanted.parallel_tool_calls is not False
    return choose(read_tools(wanted.tools), wanted.tool_choice, parallel=parallel)


def _is_set(value: Raw) -> bool:
    return bytes(value) != b"null"


def _narrows(choice: Raw) -> bool:
    """Say whether a `tool_choice` object merely narrows which tools may be called."""
    if not bytes(choice).startswith(b"{"):
        return False
    fields = parse(choice, dict[str, Raw], "tool_choice")
    return bytes(fields.get("mode", Raw(b"null"))) == b'"auto"'


def check_item(item: Raw, param: str) -> None:
    """Raise the 400 for what is no item of an input."""
    _write(TranscriptWriter(param), item, param)


def _write(transcript: TranscriptWriter, item: Raw, param: str) -> None:
    head = parse(item, ItemHead, param)
    match head.type:
        case "message" | None if head.role is not None:
            message = parse(item, MessageItem, param)
            enclosures = None if message.role in INSTRUCTING else transcript.enclosures
            transcript.say(message.role, text_of(message.content, f"{param}.content", enclosures), param)
        case "message":
            raise invalid("A message needs a role.", f"{param}.role")
        case "function_call" | "custom_tool_call":
            call = parse(item, CallItem, param)
            arguments = loose_text(call.arguments) or loose_text(call.input)
            name = f"{call.namespace}.{call.name}" if call.namespace else call.name
            transcript.call(name, arguments, call.call_id, param)
        case "function_call_output" | "custom_tool_call_output":
            output = parse(item, OutputItem, param)
            text = text_of(output.output, f"{param}.output", transcript.enclosures)
            transcript.result(text, output.call_id, param)
        case _:
            return


def _echo(wanted: ResponsesBody) -> Echo:
    reasoning = wanted.reasoning
    effort = reasoning.effort if reasoning else None
    summary = reasoning.summary if reasoning else None
    return Echo(
        instructions=wanted.instructions,
        metadata=wanted.metadata,
        tools=tuple(_functions(wanted.tools or [])),
        tool_choice=_choice_told(wanted.tool_choice),
        parallel_tool_calls=wanted.parallel_tool_calls is not False,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        max_output_tokens=wanted.max_output_tokens,
        effort=effort if effort in _EFFORTS else None,
        summary=summary if summary in _SUMMARIES else None,
        store=wanted.store is not False,
        background=bool(wanted.background),
        previous_response_id=wanted.previous_response_id,
        conversation=conversation_of(wanted.conversation),
        text_format=_format_told(wanted.text),
    )


def _format_told(text: TextShape | None) -> dict[str, object] | None:
    return (
        None
        if text is None or not _is_set(text.format)
        else parse(text.format, dict[str, object], "text.format")
    )


def _choice_told(choice: Raw) -> object:
    """Return the choice as the openai types have it, where it is one of theirs; else `auto`."""
    if bytes(choice) in (b'"none"', b'"required"'):
        return parse(choice, str)
    if bytes(choice).startswith(b"{"):
        fields = parse(choice, dict[str, object], "tool_choice")
        if fields.get("type") in ("function", "custom", "allowed_tools"):
            return fields
    return "auto"


def _functions(tools: list[Raw]) -> list[FunctionTool]:
    """Return the declared functions; tools of other kinds are not repeated."""
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        if parse(tool, ItemHead, param).type == "function":
            found.append(parse(tool, FunctionTool, param))
    return found
