"""Writes past calls and results down, in the envelope that calls are made in.

Without a nonce: what is told as past is never taken for a call when the agent
repeats it. A pure function of what the client sent, so that the same call reads
the same in every request.
"""

from typing import Final

import msgspec

OPENING_OF_PAST: Final = '<tool_call id="…">'
RESULT_TAG: Final = "tool_result"


def past_call(name: str, arguments: str, call_id: str) -> str:
    """Return a call that was made; `arguments` is its JSON text, or the text of a custom tool."""
    body = msgspec.json.encode({"name": name, "arguments": _value(arguments)}).decode()
    return f"<tool_call{_attribute('id', call_id)}>{body}</tool_call>"


def past_result(text: str, name: str, call_id: str) -> str:
    """Return what came of a call."""
    attributes = _attribute("id", call_id) + _attribute("name", name)
    return f"<{RESULT_TAG}{attributes}>\n{text}\n</{RESULT_TAG}>"


def _value(arguments: str) -> object:
    if not arguments.strip():
        return {}
    try:
        return msgspec.json.decode(arguments, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {"input": arguments}


def _attribute(name: str, value: str) -> str:
    plain = "".join(char for char in value if char.isalnum() or char in "_-.:")
    return f' {name}="{plain}"' if plain else ""
