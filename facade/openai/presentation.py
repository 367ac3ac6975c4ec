"""How an answer shows what the agent did beside answering (openai-surface.md §5.3, §11).

The agent's tools ran inside its VM. No display but FUNCTION_CALL, which nobody
gets unasked, shows them in a way that makes a client run something.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from facade.errors import invalid

TOOL_DISPLAY_HEADER: Final = "x-gateway-tool-display"
THINKING_HEADER: Final = "x-gateway-thinking"


class ToolDisplay(enum.StrEnum):
    """Where the agent's tools, its plan and its notices are shown (HOWLER_TOOL_DISPLAY)."""

    AUTO = "auto"
    """Responses: finished `mcp_call` items, the rest as reasoning summaries. Chat: lines of reasoning."""
    REASONING = "reasoning"
    """Lines of reasoning on either API."""
    TEXT = "text"
    """`> [tool] …` lines in the answer's text, on responses in messages of their own, phase `commentary`."""
    NONE = "none"
    """Nowhere: the answer only, without thoughts."""
    FUNCTION_CALL = "function_call"
    """Responses: `function_call` items with their outputs, which agent loops run again. Chat: as AUTO."""


class Thinking(enum.StrEnum):
    """What becomes of the agent's thoughts (HOWLER_THINKING)."""

    REASONING = "reasoning"
    """Reasoning, beside the answer."""
    PREFIX = "prefix"
    """In the answer's text, after `[Thinking] `."""
    OFF = "off"


class ReasoningField(enum.StrEnum):
    """Where a chat tells reasoning (HOWLER_REASONING_FIELD)."""

    REASONING_CONTENT = "reasoning_content"
    BOTH = "both"
    """In `reasoning_content` and in `reasoning`, for clients that read only one of them."""
    THINK_TAGS = "think_tags"
    """Between `<think>` tags in `content`, for interfaces that fold those."""


class Audience(enum.StrEnum):
    """Who listens, where it matters."""

    ANY = "any"
    CODEX = "codex"
    """Codex hides `mcp_call`s, so each tool is told in a reasoning line too; and it sends a failed turn
    again unless the failure is called `invalid_prompt` (§4.3), which would run the agent once more."""


_Choice = TypeVar("_Choice", ToolDisplay, Thinking)


@dataclass(frozen=True, slots=True)
class Presentation:
    """How one answer is told. With the turn's log it decides each byte of it."""

    tools: ToolDisplay = ToolDisplay.AUTO
    thinking: Thinking = Thinking.REASONING
    reasoning_field: ReasoningField = ReasoningField.REASONING_CONTENT
    audience: Audience = Audience.ANY

    def asked_by(self, headers: Mapping[str, str]) -> "Presentation":
        """Return it as the request's headers want it, their names in lower case; raises the 400."""
        codex = headers.get("originator", "").lower().startswith("codex")
        if not codex and TOOL_DISPLAY_HEADER not in headers and THINKING_HEADER not in headers:
            return self
        return Presentation(
            _chosen(headers, TOOL_DISPLAY_HEADER, self.tools),
            _chosen(headers, THINKING_HEADER, self.thinking),
            self.reasoning_field,
            Audience.CODEX if codex else self.audience,
        )


def _chosen(headers: Mapping[str, str], name: str, default: _Choice) -> _Choice:
    value = headers.get(name)
    if value is None:
        return default
    kind = type(default)
    try:
        return kind(value.strip().lower())
    except ValueError:
        raise invalid(f"The header is none of {', '.join(kind)}.", name) from None
