"""The agent's tool calls as their changes add up."""

from dataclasses import dataclass
from typing import Final

import msgspec
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState

MOST_OUTPUT: Final = 16 * 1024
"""Bytes of a tool's output that are shown; agents print megabytes, clients keep them for good."""

_MOST_LINE: Final = 160
_TELLING: Final = ("command", "cmd", "file_path", "filePath", "path", "query", "pattern", "url")
_OVER: Final = frozenset({ToolCallState.TOOL_CALL_STATE_COMPLETED, ToolCallState.TOOL_CALL_STATE_FAILED})


@dataclass(slots=True)
class Tool:
    """A tool call as far as it was told. It ran inside the VM: nobody else is to run it."""

    id: str
    title: str = ""
    kind: str = ""
    state: ToolCallState = ToolCallState.TOOL_CALL_STATE_PENDING
    raw_input: str = ""
    output: str = ""

    def merge(self, call: ToolCall) -> None:
        """Take over what an event tells; what it leaves out stays."""
        self.title = call.title or self.title
        self.kind = call.kind or self.kind
        self.state = call.state
        self.raw_input = call.raw_input or self.raw_input
        self.output = call.output or call.raw_output or self.output

    def is_over(self) -> bool:
        """Say whether the call completed or failed: nothing follows."""
        return self.state in _OVER

    def is_done(self) -> bool:
        """Say whether the call completed."""
        return self.state == ToolCallState.TOOL_CALL_STATE_COMPLETED

    def has_failed(self) -> bool:
        """Say whether the call failed."""
        return self.state == ToolCallState.TOOL_CALL_STATE_FAILED

    def is_running(self) -> bool:
        """Say whether the call runs and its input is known."""
        return self.state == ToolCallState.TOOL_CALL_STATE_IN_PROGRESS and self.raw_input not in {"", "{}"}

    def name(self) -> str:
        """Return a name of one line."""
        return one_line(self.title) or one_line(self.kind) or "tool"

    def arguments(self) -> str:
        """Return the input as a valid JSON text: clients parse it."""
        if not self.raw_input:
            return "{}"
        try:
            msgspec.json.decode(self.raw_input)
        except (msgspec.MsgspecError, RecursionError):
            return msgspec.json.encode({"input": self.raw_input}).decode()
        return self.raw_input

    def shown_output(self) -> str:
        """Return the output, cut at MOST_OUTPUT bytes."""
        whole = self.output.encode()
        if len(whole) <= MOST_OUTPUT:
            return self.output
        kept = whole[:MOST_OUTPUT].decode(errors="ignore")
        return f"{kept}\n… (cut; {len(whole)} bytes in all)"

    def summary(self) -> str:
        """Return what it does in one line: the name, and what of the input tells most."""
        name, detail = self.name(), one_line(self._detail())
        said = f" {detail} " in f" {name.replace('`', '')} "  # `Edit a.py` names its file already
        return name if not detail or said else f"{name}: {detail}"

    def outcome(self) -> str:
        """Return how it ended in a few words."""
        if not self.has_failed():
            return "done"
        reason = one_line(self.output)
        return f"failed: {reason}" if reason else "failed"

    def _detail(self) -> str:
        try:
            fields = msgspec.json.decode(self.raw_input, type=dict[str, object])
        except (msgspec.MsgspecError, RecursionError):
            return ""
        return next((value for key in _TELLING if isinstance(value := fields.get(key), str)), "")


def one_line(text: str) -> str:
    """Return the first line that is not blank, cut where it is too long to read."""
    line = next((line.strip() for line in text[: 4 * _MOST_LINE].splitlines() if line.strip()), "")
    return line if len(line) <= _MOST_LINE else f"{line[: _MOST_LINE - 1]}…"
