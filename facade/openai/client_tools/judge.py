"""Judges what stands in an envelope: calls that may be made, or why there are none."""

from dataclasses import dataclass
from typing import Final

import msgspec

from facade.openai.client_tools.coercion import coerced
from facade.openai.client_tools.declared import ClientTool, ClientTools, Kind
from facade.openai.client_tools.ladder import Written, is_unfinished, written_calls
from facade.openai.json_schema import problem_of


@dataclass(frozen=True, slots=True)
class Called:
    """Calls that may be made, at least one: each a tool and its payload (ClientCall states what that is)."""

    calls: tuple[tuple[ClientTool, str], ...]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A call was meant, and is none; `problem` says why in a line for the agent."""

    problem: str


class Foreign:
    """It names a tool that may not be called: the envelope is text like any other."""


class Unfinished:
    """It cannot be read, and may go on: the closing tag may stand inside a string."""


Verdict = Called | Faulty | Foreign | Unfinished

_UNREADABLE: Final = Faulty('it is not a JSON object with "name" and "arguments"')


def judge(body: str, tools: ClientTools) -> Verdict:
    """Return what the body of an envelope comes to."""
    written = written_calls(body)
    if written is None:
        return Unfinished() if is_unfinished(body) else _UNREADABLE
    calls: list[tuple[ClientTool, str]] = []
    for call in written:
        tool = tools.find(call.name)
        if tool is None:
            return Foreign()
        payload = _input(call) if tool.kind is Kind.CUSTOM else _arguments(call, tool)
        if isinstance(payload, Faulty):
            return payload
        calls.append((tool, payload))
    return Called(tuple(calls[:1] if tools.single else calls))


def _arguments(call: Written, tool: ClientTool) -> str | Faulty:
    schema = tool.parameters or {}
    given = call.arguments
    if not isinstance(given, dict):
        key = _only_key(schema)
        if key is None or isinstance(given, list) or given is None:
            return Faulty(f"the arguments of {tool.full_name} are not a JSON object")
        given = {key: given}
    fitting = coerced(given, schema)
    problem = problem_of(fitting, schema)
    if problem is not None:
        return Faulty(f"the arguments of {tool.full_name} do not fit its schema: {problem}")
    return msgspec.json.encode(fitting).decode()


def _input(call: Written) -> str | Faulty:
    match call.arguments:
        case str(text):
            return text
        case {"input": str(text)}:
            return text
        case dict() as fields if len(fields) == 1 and isinstance(text := next(iter(fields.values())), str):
            return text
        case _:
            return Faulty(f"{call.name} takes one text, as `input`")


def _only_key(schema: dict[str, object]) -> str | None:
    """Return the one argument that a bare value can mean."""
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(required, list) and len(required) == 1:
        return str(required[0])
    return next(iter(properties)) if isinstance(properties, dict) and len(properties) == 1 else None
