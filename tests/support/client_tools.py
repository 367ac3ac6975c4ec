"""Tools that tests declare, and answers as the scanner sees them."""

from collections.abc import Iterable
from typing import Any, Final

from facade.openai.client_tools.declared import ClientTool, ClientTools, Kind
from facade.openai.client_tools.judge import Called, judge
from facade.openai.client_tools.scanner import Found, Over, Piece, Said, Scanner

NONCE: Final = "K7Q2"
WEATHER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
BASH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"command": {"type": "string"}},
    "required": ["command"],
}
TOOLS: Final = (
    ClientTool("get_weather", parameters=WEATHER),
    ClientTool("bash", parameters=BASH),
    ClientTool("apply_patch", Kind.CUSTOM),
    ClientTool("close", namespace="agents", parameters={"type": "object", "properties": {}}),
    ClientTool("list_all", parameters=None),
)


def tools(*, required: bool = False, single: bool = False) -> ClientTools:
    """Return them all, ready to be called."""
    return ClientTools(TOOLS, TOOLS, required, single)


def envelope(body: str, nonce: str = NONCE) -> str:
    """Return an envelope."""
    return f'<tool_call nonce="{nonce}">{body}</tool_call>'


def chat_tool(name: str, parameters: dict[str, Any]) -> Any:
    """Return a tool as a chat declares it."""
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


def response_tool(name: str, parameters: dict[str, Any]) -> Any:
    """Return a tool as a response declares it."""
    return {"type": "function", "name": name, "description": name, "parameters": parameters, "strict": False}


def scanned(pieces_of_text: Iterable[str], called: ClientTools | None = None) -> list[Any]:
    """Return what a scanner finds: words as text, calls as lists of (name, payload), faults as what is told.

    Words that follow each other are one text, however they came.
    """
    wanted = called or tools()
    scanner = Scanner(NONCE, lambda body: judge(body, wanted))
    found: list[Piece] = []
    for text in pieces_of_text:
        found += scanner.receive(text)
    found += scanner.end()
    told: list[Any] = []
    for piece in found:
        match piece:
            case Said(text) if told and isinstance(told[-1], str):
                told[-1] += text
            case Said(text):
                told.append(text)
            case Found(Called(calls), _):
                told.append([(tool.full_name, payload) for tool, payload in calls])
            case Found(faulty, raw):
                told.append({"problem": getattr(faulty, "problem", ""), "raw": raw})
            case Over():
                told.append(Over)
    return told
