"""Reads the tools that a request declares, and its choice among them, of either API."""

from dataclasses import dataclass
from typing import Final

from msgspec import Raw, Struct

from facade.errors import invalid, unsupported
from facade.openai.client_tools.declared import ClientTool, ClientTools, Kind
from facade.openai.wire import parse

_NOTHING: Final = Raw(b"null")
_KINDS: Final = {"function": Kind.FUNCTION, "custom": Kind.CUSTOM}


class _Format(Struct):
    """What the input of a custom tool looks like."""

    type: str = "text"
    syntax: str = ""
    definition: str = ""
    grammar: "_Format | None" = None  # chat has it one level deeper


class _Shape(Struct):
    """What a tool is."""

    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None
    format: _Format | None = None


class _Head(Struct):
    """A tool, or a choice of one: chat has its shape inside, responses beside `type`."""

    type: str = ""
    function: Raw = _NOTHING
    custom: Raw = _NOTHING


class _Namespace(Struct):
    """Codex's tools within a tool."""

    name: str
    tools: list[Raw] = []


class _Named(Struct):
    name: str


class _Allowed(Struct):
    """The choice of some of the tools."""

    mode: str = "auto"
    tools: list[Raw] = []


class _AllowedHead(Struct):
    allowed_tools: Raw = _NOTHING


@dataclass(frozen=True, slots=True)
class _Choice:
    names: frozenset[str] | None  # None for all
    required: bool


def read_tools(tools: list[Raw] | None, param: str = "tools") -> list[ClientTool]:
    """Return the tools that run at the client's; those that a server would run are passed over."""
    found: list[ClientTool] = []
    for index, raw in enumerate(tools or []):
        at = f"{param}[{index}]"
        head = parse(raw, _Head, at)
        if head.type in _KINDS:
            found.append(_tool(_inner(raw, head), _KINDS[head.type], at))
        elif head.type == "namespace":
            space = parse(raw, _Namespace, at)
            nested = read_tools(space.tools, f"{at}.tools")
            found += [
                ClientTool(tool.name, tool.kind, tool.description, tool.parameters, space.name)
                for tool in nested
            ]
    return found


def read_functions(functions: list[Raw] | None) -> list[ClientTool]:
    """Return what the old field `functions` declares."""
    return [_tool(raw, Kind.LEGACY, f"functions[{index}]") for index, raw in enumerate(functions or [])]


def choose(
    tools: list[ClientTool], choice: Raw, *, parallel: bool, param: str = "tool_choice"
) -> ClientTools | None:
    """Return which tools may be called, None where none may.

    Raises the 400 for a choice that means nothing, or a tool that is not declared.
    """
    chosen = _choice(choice, param)
    if chosen is None or not tools:
        if chosen is not None and chosen.required:
            raise invalid("A tool must be called, and none is declared that the client runs.", param)
        return None
    allowed = tuple(
        tool for tool in tools if chosen.names is None or {tool.name, tool.full_name} & chosen.names
    )
    if not allowed:
        raise invalid("The tool is not among those that the request declares.", param)
    single = not parallel or any(tool.kind is Kind.LEGACY for tool in tools)
    return ClientTools(tuple(tools), allowed, chosen.required, single)


def _tool(raw: Raw, kind: Kind, at: str) -> ClientTool:
    shape = parse(raw, _Shape, at)
    if not shape.name.strip():
        raise invalid("A tool needs a name.", f"{at}.name")
    description = shape.description or ""
    if shape.format is not None:
        description += _format_told(shape.format.grammar or shape.format)
    return ClientTool(shape.name, kind, description, shape.parameters)


def _format_told(form: _Format) -> str:
    return f"\nThe input follows this {form.syntax} grammar:\n{form.definition}" if form.definition else ""


def _inner(raw: Raw, head: _Head) -> Raw:
    return next((inner for inner in (head.function, head.custom) if bytes(inner) != b"null"), raw)


def _choice(choice: Raw, param: str) -> _Choice | None:
    match bytes(choice):
        case b"null" | b'"auto"':
            return _Choice(None, required=False)
        case b'"none"':
            return None
        case b'"required"':
            return _Choice(None, required=True)
        case text if not text.startswith(b"{"):
            raise invalid("It is none of none, auto and required.", param)
    head = parse(choice, _Head, param)
    if head.type == "allowed_tools":
        return _allowed(choice, param)
    if head.type not in ("", *_KINDS):
        raise unsupported("Only tools that the client runs can be chosen.", param)
    return _Choice(frozenset({parse(_inner(choice, head), _Named, param).name}), required=True)


def _allowed(choice: Raw, param: str) -> _Choice:
    nested = parse(choice, _AllowedHead, param).allowed_tools
    allowed = parse(choice if bytes(nested) == b"null" else nested, _Allowed, param)
    if allowed.mode not in ("auto", "required"):
        raise invalid("It is none of auto and required.", f"{param}.mode")
    names = set()
    for index, raw in enumerate(allowed.tools):
        at = f"{param}.tools[{index}]"
        head = parse(raw, _Head, at)
        if head.type in _KINDS:
            names.add(parse(_inner(raw, head), _Named, at).name)
    return _Choice(frozenset(names), required=allowed.mode == "required")
