"""Tells what stands beside an answer: thoughts as they are, the rest on lines of its own. Sans I/O.

A tool's line begins when the tool runs and ends with its outcome; where
something came between, the outcome is told only of a failure, on a line of its own.
"""

from collections.abc import Callable

from facade.openai.asides import MARK, Manner
from facade.openai.tools import Tool


class Beside:
    """One place for it, which `write` appends to; `manner` says whether it is the answer's own text."""

    def __init__(self, write: Callable[[str], None], manner: Manner) -> None:
        self._append = write
        self._manner = manner
        self._inside = bool(manner.opening)  # of the answer's own text
        self._open = False
        self._at_line_start = True
        self._thinks = False
        self._unfinished = False  # a tool's line stands there without its outcome
        self._open_line = ""  # the id of its tool, while the outcome may still be put to it
        self.follows_text = False
        """Something of the answer was told before."""

    def think(self, text: str) -> None:
        """Tell more of a thought."""
        if not text:
            return
        if not self._thinks:
            breaks = self._unfinished or (self._inside and not self._at_line_start)
            text = f"{chr(10) if breaks else ''}{self._manner.thought}{text}"
            self._open_line, self._unfinished, self._thinks = "", False, True
        self._write(text)

    def line(self, text: str) -> None:
        """Tell something on lines of its own, perhaps nothing."""
        if text:
            self._begin_line(text)
            self._write("\n")

    def begin_tool(self, tool: Tool) -> None:
        """Tell that a tool runs."""
        self._begin_line(f"[tool] {tool.summary()}")
        self._open_line, self._unfinished = tool.id, True

    def end_tool(self, tool: Tool) -> None:
        """Tell how a tool ended that was told to run."""
        if self._open_line == tool.id:
            self._open_line, self._unfinished = "", False
            self._write(f" -> {tool.outcome()}\n")
        elif tool.has_failed():
            self.tell_tool(tool)

    def tell_tool(self, tool: Tool) -> None:
        """Tell of a tool that is over and was not told to run."""
        self.line(f"[tool] {tool.summary()} -> {tool.outcome()}")

    def hush(self) -> None:
        """Let something else be told: the answer, or what another place holds."""
        self._open_line, self._thinks = "", False
        if self._open:
            self._open = False
            if self._manner.line:
                self._append("\n" if self._at_line_start else "\n\n")
            self._append(self._manner.closing)
            self._at_line_start, self._unfinished = True, False

    def _begin_line(self, text: str) -> None:
        self._open_line, self._unfinished, self._thinks = "", False, False
        quoted = text.replace("\n", f"\n{self._manner.line}")
        self._write(f"{'' if self._at_line_start else chr(10)}{self._manner.line}{quoted}")

    def _write(self, text: str) -> None:
        if self._inside:
            text = text.replace(MARK, "")
            if not self._open:
                self._open = True
                apart = "\n\n" if self.follows_text and self._manner.line else ""
                text = f"{self._manner.opening}{apart}{text}"
        self._append(text)
        self._at_line_start = text.endswith("\n")
