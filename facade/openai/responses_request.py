"""Reads a request of POST /v1/responses: body in, turn to ask for out.

Input items of kinds that are not told to the agent (reasoning, the agent's own
`mcp_call`s, references to stored items, kinds unknown) are skipped, as
openai-surface.md §6.7 wants.
"""

from dataclasses import dataclass
from typing import Final

from msgspec import Raw

from facade.errors import ApiError, invalid, unsupported
from facade.openai.start import Asked
from facade.openai.transcript import INSTRUCTING, TranscriptWriter, text_of
from facade.openai.wire import (
    CallItem,
    FunctionTool,
    ItemHead,
    MessageItem,
    OutputItem,
    ResponsesBody,
    checked_text,
    ignored_fields,
    loose_text,
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
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})


@dataclass(frozen=True, slots=True)
class Echo:
    """The fields of a request that its response repeats, ready as JSON values.

    `store` is what was asked, and false where nothing was: nothing is stored yet.
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
    store: bool = False


@dataclass(frozen=True, slots=True)
class ResponsesRequest:
    """A responses request: what it asks of the agent and what the response repeats of it."""

    asked: Asked
    echo: Echo


def read_responses(body: bytes) -> ResponsesRequest:
    """Return what the body asks; raises the 400 that names what is wrong in it."""
    wanted = parse(body, ResponsesBody)
    _reject_unserved(wanted)
    transcript = TranscriptWriter("input")
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
        conversation=transcript.conversation(),
        attachments=tuple(transcript.enclosures.attachments()),
        instructions=transcript.instructions(),
        declares_tools=bool(wanted.tools),
        ignored=tuple(ignored_fields(body, _HONOURED)),
    )
    return ResponsesRequest(asked, _echo(wanted))


def _reject_unserved(wanted: ResponsesBody) -> None:
    """Refuse what would change the shape of the answer (openai-surface.md §9), and what is not stored."""
    if wanted.previous_response_id is not None:
        raise _unknown(
            "There is no stored response of this id.", "previous_response_id", "previous_response_not_found"
        )
    if _is_set(wanted.conversation):
        raise _unknown("There is no conversation of this id.", "conversation", "conversation_not_found")
    if wanted.background:
        raise unsupported("Background responses are not supported.", "background")
    if _is_set(wanted.prompt):
        raise unsupported("Stored prompts are not supported.", "prompt")
    if bytes(wanted.tool_choice) not in (b"null", b'"auto"', b'"none"') and not _narrows(wanted.tool_choice):
        raise unsupported("A call of a client's tool cannot be forced.", "tool_choice")


def _unknown(message: str, param: str, code: str) -> ApiError:
    return invalid(message, param, code)


def _is_set(value: Raw) -> bool:
    return bytes(value) != b"null"


def _narrows(choice: Raw) -> bool:
    """Say whether a `tool_choice` object merely narrows which tools may be called."""
    if not bytes(choice).startswith(b"{"):
        return False
    fields = parse(choice, dict[str, Raw], "tool_choice")
    return bytes(fields.get("mode", Raw(b"null"))) == b'"auto"'


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
            transcript.call(call.name, arguments, call.call_id, param)
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
        # What is left after `_reject_unserved` lets the model choose, or forbids calls.
        tool_choice="none" if bytes(wanted.tool_choice) == b'"none"' else "auto",
        parallel_tool_calls=wanted.parallel_tool_calls is not False,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        max_output_tokens=wanted.max_output_tokens,
        effort=effort if effort in _EFFORTS else None,
        summary=summary if summary in _SUMMARIES else None,
        store=bool(wanted.store),
    )


def _functions(tools: list[Raw]) -> list[FunctionTool]:
    """Return the declared functions; tools of other kinds are not repeated."""
    found = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        if parse(tool, ItemHead, param).type == "function":
            found.append(parse(tool, FunctionTool, param))
    return found
