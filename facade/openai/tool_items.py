"""The output items that show one of the agent's tools, each telling its own events (openai-surface.md §6.2).

All of them tell calls that ran already. Arguments and output are told when the
call is over, for until then they may change.
"""

from typing import Final

from facade.openai.asides import own_call_id
from facade.openai.event_writer import EventWriter
from facade.openai.tools import Tool

SERVER_LABEL: Final = "monkeycode"
"""Whose tools `mcp_call` items show: the agent's own, which ran already."""


class McpCallItem:
    """A tool as an `mcp_call`: the one kind that no client runs again."""

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
        if self.tool.is_done():
            outcome, done = "completed", {"status": "completed", "output": output}
        else:
            outcome, done = "failed", {"status": "failed", "error": _tool_error(output)}
        self.item = self.item | {"arguments": arguments} | done
        write = self._writer.write
        write("response.mcp_call_arguments.done", {**self._at, "arguments": arguments})
        write(f"response.mcp_call.{outcome}", self._at)
        write("response.output_item.done", {"output_index": self._index, "item": self.item})


class FunctionCallItem:
    """A tool as a `function_call`, as though the client had declared it. FunctionOutputItem follows it."""

    def __init__(self, writer: EventWriter, item_id: str, index: int, tool: Tool) -> None:
        self._writer = writer
        self._at: dict[str, object] = {"item_id": item_id, "output_index": index}
        self._index = index
        self.tool = tool
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "function_call",
            "status": "in_progress",
            "call_id": own_call_id(item_id),
            "name": tool.name(),
            "arguments": "",
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})

    def close(self) -> None:
        """Tell the whole call."""
        arguments = self.tool.arguments()
        self.item = self.item | {"arguments": arguments, "status": _status(self.tool)}
        told = {**self._at, "arguments": arguments}
        self._writer.write("response.function_call_arguments.done", told)
        self._writer.write("response.output_item.done", {"output_index": self._index, "item": self.item})


class FunctionOutputItem:
    """What a FunctionCallItem that is closed came to, told at once."""

    def __init__(self, writer: EventWriter, item_id: str, index: int, call: FunctionCallItem) -> None:
        begun: dict[str, object] = {
            "id": item_id,
            "type": "function_call_output",
            "status": "in_progress",
            "call_id": call.item["call_id"],
            "output": "",
        }
        output = call.tool.shown_output() or call.tool.outcome()
        self.item = begun | {"status": _status(call.tool), "output": output}
        writer.write("response.output_item.added", {"output_index": index, "item": begun})
        writer.write("response.output_item.done", {"output_index": index, "item": self.item})


def _status(tool: Tool) -> str:
    return "completed" if tool.is_done() else "incomplete"


def _tool_error(output: str) -> dict[str, object]:
    content = [{"type": "text", "text": output or "The tool failed."}]
    return {"type": "mcp_tool_execution_error", "content": content}
