"""Folds the events of a turn into the pieces of a chat completion.

Sans I/O. The answer goes to `content` byte for byte. Thoughts go to
`reasoning_content` as they are; there too, on lines of their own, one line per
tool, the plan as a checklist, questions with their answers, images, notices.

A tool's line begins when the tool runs and ends with its outcome; where other
reasoning came between, the outcome is told only of a failure, on a line of its own.
"""

from collections.abc import Iterable
from typing import Protocol

from howler.task.v1.task_event_pb2 import Ended, Question, TaskEvent, TokenUsage, ToolCall

from facade.errors import ApiError
from facade.openai.narration import checklist, image_line, notice_line, question_line
from facade.openai.outcome import failure_of, is_cut_short
from facade.openai.tools import Tool


class ChatSink(Protocol):
    """Takes the pieces: `begin`, then contents and reasonings, then one of `finish` and `fail`."""

    def begin(self, model: str) -> None:
        """Begin the answer; `model` is what runs it, empty where nobody has told yet."""

    def content(self, text: str) -> None:
        """Take more of the answer."""

    def reasoning(self, text: str) -> None:
        """Take more of what is told beside the answer."""

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """End the answer with its one `finish_reason`."""

    def fail(self, error: ApiError) -> None:
        """End without a `finish_reason`."""


class ChatTurn:
    """One turn, from its first event to its last; what comes after changes nothing."""

    def __init__(self, sink: ChatSink) -> None:
        self._sink = sink
        self._begun = False
        self._tools: dict[str, Tool] = {}
        self._questions: dict[str, Question] = {}
        self._plan = ""
        self._tokens = TokenUsage()
        self._at_line_start = True
        self._open_line = ""  # the id of the tool whose line waits for its outcome
        self.finished = False

    def begin(self, model: str = "") -> None:
        """Begin the answer, once."""
        if not self._begun:
            self._begun = True
            self._sink.begin(model)

    def receive(self, events: Iterable[TaskEvent]) -> None:
        """Take events in order."""
        for event in events:
            if self.finished:
                return
            kind = event.WhichOneof("event")
            if not self._begun:
                self.begin(event.accepted.model.id if kind == "accepted" else "")
            if kind == "text_delta":
                self._say(event.text_delta.text)
            elif kind == "thought_delta":
                self._think(event.thought_delta.text)
            else:
                self._take(event, kind)

    def fail(self, error: ApiError) -> None:
        """End the turn by a failure that no event tells."""
        if not self.finished:
            self.begin()
            self.finished = True
            self._sink.fail(error)

    def _take(self, event: TaskEvent, kind: str | None) -> None:
        match kind:
            case "tool_call":
                self._call(event.tool_call)
            case "plan":
                plan = checklist(event.plan)
                if plan and plan != self._plan:
                    self._plan = plan
                    self._line(f"[plan]\n{plan}")
            case "question":
                self._questions[event.question.question_id] = event.question
            case "question_resolved":
                resolved = event.question_resolved
                self._line(question_line(self._questions.pop(resolved.question_id, Question()), resolved))
            case "image":
                self._line(image_line(event.image))
            case "notice":
                self._line(notice_line(event.notice))
            case "usage" if event.usage.HasField("tokens"):
                self._tokens = event.usage.tokens
            case "ended":
                self._end(event.ended)

    def _say(self, text: str) -> None:
        if self._open_line:
            self._open_line, self._at_line_start = "", False
        if text:
            self._sink.content(text)

    def _think(self, text: str) -> None:
        if not text:
            return
        if self._open_line:
            self._open_line = ""
            text = "\n" + text
        self._sink.reasoning(text)
        self._at_line_start = text.endswith("\n")

    def _line(self, text: str) -> None:
        if text:
            self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        """Tell something that begins a line."""
        self._open_line = ""
        self._sink.reasoning(text if self._at_line_start else f"\n{text}")
        self._at_line_start = text.endswith("\n")

    def _call(self, call: ToolCall) -> None:
        tool = self._tools.setdefault(call.id, Tool(call.id))
        if tool.is_over():
            return
        told = tool.is_running()
        tool.merge(call)
        if not tool.is_over():
            if tool.is_running() and not told:
                self._write(f"[tool] {tool.summary()}")
                self._open_line = tool.id
        elif self._open_line == tool.id:
            self._open_line = ""
            self._sink.reasoning(f" -> {tool.outcome()}\n")
            self._at_line_start = True
        elif tool.has_failed() or not told:
            self._line(f"[tool] {tool.summary()} -> {tool.outcome()}")

    def _end(self, ended: Ended) -> None:
        if ended.usage.HasField("tokens"):
            self._tokens = ended.usage.tokens
        self.finished = True
        failure = failure_of(ended)
        if failure is not None:
            self._sink.fail(failure)
        else:
            self._sink.finish("length" if is_cut_short(ended) else "stop", self._tokens)
