"""What the agent is told of the client's tools, in three places.

The whole of them once, with the instructions of a new task: names,
descriptions, schemas. How to call them, with the nonce and one line per tool,
as the guidance of each turn: that is short enough for a prompt to a task that
exists, and holds where the client's tools changed since. And what was wrong
with a call, as the prompt of the one turn that may mend it.
"""

from typing import Final

import msgspec

from facade.openai.client_tools.declared import ClientTool, ClientTools, Kind
from facade.openai.client_tools.history import OPENING_OF_PAST, RESULT_TAG

_MOST_ARGUMENTS: Final = 12  # that a line names


def declaration(tools: ClientTools) -> str:
    """Return the tools as instructions: what an agent must know to use them."""
    told = "\n".join(_entry(tool) for tool in tools.declared)
    return (
        "# The user's tools\n\n"
        "You help the user on the user's own machine, which you reach by the tools below and by nothing "
        "else. Your own tools (shell, files, search, web) are off limits: they act on another machine, "
        "where nothing of the user's is. How a tool is called is said with each message.\n\n"
        f"<tools>\n{told}\n</tools>"
    )


def guidance(tools: ClientTools, nonce: str) -> str:
    """Return how to call tools in this answer."""
    form = '{"name":"NAME","arguments":{…}}'
    lines = [
        "---",
        "How to answer this message. Do not use your own tools. To use a tool of the user, write this, "
        f"with exactly this nonce, as plain text and not in your thoughts:\n"
        f'<tool_call nonce="{nonce}">{form}</tool_call>',
        "A long text may stand behind the JSON object instead of in it, as it is: "
        '<arg name="NAME">…</arg>, before </tool_call>.',
        "Then stop: the results come with the next message; never write a result yourself. "
        f"What was called before is shown as {OPENING_OF_PAST} and its result as <{RESULT_TAG} …>.",
        "The tools: " + "; ".join(_line(tool) for tool in tools.callable) + ".",
    ]
    if tools.single:
        lines.append("Make one call at most.")
    else:
        lines.append("Calls that do not need each other's results may follow each other directly.")
    if tools.required:
        lines.append(_demand(tools))
    return "\n".join(lines)


def mending(problem: str) -> str:
    """Return what to say to an agent whose call could not be taken."""
    return (
        f"Your call was not carried out: {problem}. Write it once more, whole and correct, "
        "in the same form, and nothing else."
    )


def insisting(tools: ClientTools) -> str:
    """Return what to say to an agent that made no call where one was required."""
    return f"You called no tool. {_demand(tools)} Write the call, and nothing else."


def _demand(tools: ClientTools) -> str:
    if len(tools.callable) == 1:
        return f"This answer must be a call of {tools.callable[0].full_name}."
    return "This answer must call at least one of the tools."


def _entry(tool: ClientTool) -> str:
    told: dict[str, object] = {"name": tool.full_name}
    if tool.description:
        told["description"] = tool.description
    if tool.kind is Kind.CUSTOM:
        told["arguments"] = {"input": "one text, as it is"}
    else:
        told["arguments"] = tool.parameters or {"type": "object", "properties": {}}
    return msgspec.json.encode(told).decode()


def _line(tool: ClientTool) -> str:
    if tool.kind is Kind.CUSTOM:
        return f"{tool.full_name}(input: string)"
    schema = tool.parameters or {}
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return f"{tool.full_name}()"
    needed = required if isinstance(required, list) else []
    names = [
        f"{name}{'' if name in needed else '?'}: {_type(shape)}"
        for name, shape in list(properties.items())[:_MOST_ARGUMENTS]
    ]
    more = ", …" if len(properties) > _MOST_ARGUMENTS else ""
    return f"{tool.full_name}({', '.join(names)}{more})"


def _type(schema: object) -> str:
    named = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(named, list):
        return " or ".join(str(name) for name in named)
    return named if isinstance(named, str) else "any"
