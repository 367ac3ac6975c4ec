"""What is added to the text of an answer that is not the agent's answer, and how it comes off again.

A client sends back the text it was told, and that is compared with what the
agent said. So each stretch that is added to it stands between two marks that
nobody sees, and `strip_added` gives back the agent's text, byte for byte. The
calls that FUNCTION_CALL shows are told from a client's own by their ids.
"""

import re
from dataclasses import dataclass
from typing import Final

MARK: Final = "\u2063"
"""INVISIBLE SEPARATOR: of no width, kept by editors and by JSON, and no blank that a client would trim."""

_OWN_CALL: Final = "call_agent_"


@dataclass(frozen=True, slots=True)
class Manner:
    """How what stands beside an answer is told: what opens and closes a stretch, a line, a thought."""

    opening: str = ""
    closing: str = ""
    line: str = ""
    thought: str = ""


REASONING: Final = Manner()
"""In a field of its own, as it is."""
INLINE: Final = Manner(MARK, MARK, "> ", "[Thinking] ")
"""In the answer's text."""
THINK_TAGS: Final = Manner(f"<think>{MARK}", f"{MARK}</think>\n\n")
"""In the answer's text, for interfaces that fold it."""

_ADDED: Final = re.compile(f"(?:<think>)?{MARK}[^{MARK}]*(?:{MARK}(?:</think>\n\n)?|\\Z)")


def strip_added(text: str) -> str:
    """Return the text of an answer without what was added to it; a stretch that was cut off goes too."""
    return _ADDED.sub("", text) if MARK in text else text


def own_call_id(unique: str) -> str:
    """Return the `call_id` of a call that the agent ran itself."""
    return f"{_OWN_CALL}{unique}"


def is_own_call(call_id: str | None) -> bool:
    """Say whether a call that a client sends back was the agent's, not the client's."""
    return call_id is not None and call_id.startswith(_OWN_CALL)
