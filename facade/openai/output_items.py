"""The output items of a response, each telling its own events in the order of openai-surface.md §6.2.

An item is begun by being made and ended by its `close`; between the two the
caller may begin others. `item` is what the final response repeats.
"""

from typing import Final

from facade.openai.event_writer import DeltaTemplate, EventWriter
from facade.openai.tools import Tool

SERVER_LABEL: Final = "monkeycode"
"""Whose tools `mcp_call` items show: the agent's own, which ran already."""

COMMENTARY: Final = "commentary"
FINAL_ANSWER: Final = "final_answer"
COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"


class MessageItem:
    """A message: one part of text.

    Its `phase` is told when it is done, for only then is it known: `commentary`
    where the agent went on to think or to call tools, `final_answer` where the
    turn ended with it.
    """

    def __init__(self, writer: EventWriter, item_id: str, index: int) -> None:
        self._writer = writer
        self._at: dict[str, object] = {"item_id": item_id, "output_index": index, "content_index": 0}
        self._text: list[str] = []
        self._delta = DeltaTemplate("response.output_text.delta", {**self._at, "logprobs": []})
        self._index = index
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})
        writer.write("response.content_part.added", {**self._at, "part": _text_part("")})

    def say(self, text: str) -> None:
        """Tell more of the text."""
        self._text.append(text)
        self._writer.write_delta(self._delta, text)

    def close(self, status: str, phase: str) -> None:
        """Tell the whole message."""
        text = "".join(self._text)
        part = _text_part(text)
        self.item = self.item | {"status": status, "content": [part], "phase": phase}
        write = self._writer.write
        write("response.output_text.done", {**self._at, "text": text, "logprobs": []})
        write("response.content_part.done", {**self._at, "part": part})
        write("response.output_item.done", {"output_index": self._index, "item": self.item})


class ReasoningItem:
    """A reasoning item: summary parts, each with a bold first line (UIs show it as a heading)."""

    def __init__(self, writer: EventWriter, item_id: str, index: int) -> None:
        self._writer = writer
        self._item_id = item_id
        self._index = index
        self._parts: list[dict[str, object]] = []
        self._text: list[str] | None = None
        self._delta = self._template()
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "reasoning",
            "summary": [],
            "status": "in_progress",
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})

    def think(self, text: str) -> None:
        """Tell more of a thought; a heading is put before a thought that brings none."""
        if self._text is None:
            self._open_part()
            text = text if text.lstrip().startswith("**") else f"**Thinking**\n\n{text}"
        self._add(text)

    def tell(self, heading: str, text: str) -> None:
        """Tell a part of its own, whole."""
        self._close_part()
        self._open_part()
        self._add(f"**{heading}**\n\n{text}" if text else f"**{heading}**")
        self._close_part()

    def close(self, status: str) -> None:
        """Tell the whole item."""
        self._close_part()
        self.item = self.item | {"status": status, "summary": self._parts}
        self._writer.write("response.output_item.done", {"output_index": self._index, "item": self.item})

    def _at(self) -> dict[str, object]:
        return {
            "item_id": self._item_id,
            "output_index": self._index,
            "summary_index": len(self._parts),
        }

    def _template(self) -> DeltaTemplate:
        return DeltaTemplate("response.reasoning_summary_text.delta", self._at())

    def _open_part(self) -> None:
        self._text = []
        self._delta = self._template()
        part = {"type": "summary_text", "text": ""}
        self._writer.write("response.reasoning_summary_part.added", {**self._at(), "part": part})

    def _add(self, text: str) -> None:
        assert self._text is not None
        self._text.append(text)
        self._writer.write_delta(self._delta, text)

    def _close_part(self) -> None:
        if self._text is None:
            return
        text = "".join(self._text)
        part: dict[str, object] = {"type": "summary_text", "text": text}
        write, at = self._writer.write, self._at()
        write("response.reasoning_summary_text.done", {**at, "text": text})
        write("response.reasoning_summary_part.done", {**at, "part": part})
        self._parts.append(part)
        self._text = None


class ToolItem:
    """A call of one of the agent's tools, as an `mcp_call`: the one kind that no client runs again.

    Arguments and output are told when the call is over, for until then they may change.
    """

    def __init__(self, writer: EventWriter, item_id: str, index: int, tool: Tool) -> None:
        self._writer = writer
        self._at: dict[str, object] = {"item_id": item_id, "output_index": index}
        self._index = index
        self.tool = tool
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "mcp_call",
            "status": "in_progress",
            "name": tool.name(),
            "arguments": "",
            "server_label": SERVER_LABEL,
            "output": None,
            "error": None,
            "approval_request_id": None,
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})
        writer.write("response.mcp_call.in_progress", self._at)

    def close(self) -> None:
        """Tell the whole call; one that never completed is told failed."""
        arguments, output = self.tool.arguments(), self.tool.shown_output()
        done: dict[str, object]
        if self.tool.is_over() and not self.tool.has_failed():
            outcome, done = "completed", {"status": "completed", "output": output}
        else:
            outcome, done = "failed", {"status": "failed", "error": _tool_error(output)}
        self.item = self.item | {"arguments": arguments} | done
        write = self._writer.write
        write("response.mcp_call_arguments.done", {**self._at, "arguments": arguments})
        write(f"response.mcp_call.{outcome}", self._at)
        write("response.output_item.done", {"output_index": self._index, "item": self.item})


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _tool_error(output: str) -> dict[str, object]:
    content = [{"type": "text", "text": output or "The tool failed."}]
    return {"type": "mcp_tool_execution_error", "content": content}
