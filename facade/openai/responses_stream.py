"""Tells a turn as the events of a streamed response (openai-surface.md §6).

Sans I/O. Text becomes messages, thoughts and what people should read beside
the answer become summary parts of reasoning items, the agent's tools become
`mcp_call`s. At most one message or reasoning item is open at a time, and a new
tool closes it; tools that run beside each other, or while the agent goes on
speaking, stay open until they are over. The last item is always a message,
were it empty, for agent loops call again without one. The end is exactly one of
`response.completed`, `incomplete` and `failed`, after all items were closed.
"""

import enum
from collections.abc import Iterable

from howler.task.v1.task_event_pb2 import Ended, Question, TaskEvent, TokenUsage, ToolCall

from facade.errors import ApiError
from facade.openai.event_writer import EventWriter
from facade.openai.narration import checklist, image_line, notice_line, question_line
from facade.openai.outcome import failure_of, is_cut_short
from facade.openai.output_items import (
    COMMENTARY,
    COMPLETED,
    FINAL_ANSWER,
    INCOMPLETE,
    MessageItem,
    ReasoningItem,
    ToolItem,
)
from facade.openai.response_object import ResponseObject
from facade.openai.responses_request import Echo
from facade.openai.tools import Tool


class Audience(enum.Enum):
    """Who listens, where it matters."""

    ANY = "any"
    CODEX = "codex"
    """Codex hides `mcp_call`s, so each tool is told in a reasoning line too; and it sends a failed turn
    again unless the failure is called `invalid_prompt` (§4.3), which would run the agent once more."""


class ResponsesStream:
    """A streamed response: events in, bytes of SSE out, nothing after the terminal event.

    `model` is told until the platform names the one that runs. `unique` makes
    the ids of the response and its items. `response` is the final response, once there is one.
    """

    def __init__(
        self, unique: str, created_at: int, model: str, echo: Echo, audience: Audience = Audience.ANY
    ) -> None:
        self._unique = unique
        self._created_at = created_at
        self._model = model
        self._echo = echo
        self._audience = audience
        self._writer = EventWriter()
        self._object: ResponseObject | None = None
        self._items: list[MessageItem | ReasoningItem | ToolItem] = []
        self._speaking: MessageItem | ReasoningItem | None = None
        self._tools: dict[str, ToolItem] = {}
        self._questions: dict[str, Question] = {}
        self._plan = ""
        self._tokens = TokenUsage()
        self._started = False
        self.failure: ApiError | None = None
        self.response: dict[str, object] | None = None

    @property
    def finished(self) -> bool:
        """Everything was told."""
        return self.response is not None

    def open(self) -> bytes:
        """Return the first events, where the platform takes its time to accept the turn."""
        self._begin("")
        return self._writer.take()

    def receive(self, events: Iterable[TaskEvent]) -> bytes:
        """Return the frames that the events mean, perhaps none."""
        for event in events:
            if self.response is not None:
                break
            kind = event.WhichOneof("event")
            if kind == "text_delta" and isinstance(self._speaking, MessageItem):
                if text := event.text_delta.text:
                    self._speaking.say(text)
            else:
                self._begin(event.accepted.model.id if kind == "accepted" else "")
                self._take(event, kind)
        return self._writer.take()

    def keep_alive(self) -> bytes:
        """Return a repeated `response.in_progress`: Codex's idle timer heeds events only (§8)."""
        if self._object is not None and not self.finished:
            self._writer.write("response.in_progress", {"response": self._object.in_progress()})
        return self._writer.take()

    def abandon(self, error: ApiError) -> bytes:
        """Return the frames that end the response with a failure that no event tells."""
        if not self.finished:
            self._begin("")
            self._fail(error)
        return self._writer.take()

    def _begin(self, model: str) -> None:
        if self._object is not None:
            return
        self._object = ResponseObject(
            f"resp_{self._unique}", self._created_at, model or self._model, self._echo
        )
        for type_ in ("response.created", "response.in_progress"):
            self._writer.write(type_, {"response": self._object.in_progress()})

    def _take(self, event: TaskEvent, kind: str | None) -> None:
        match kind:
            case "started":
                self._started = True
            case "text_delta" if event.text_delta.text:
                self._message().say(event.text_delta.text)
            case "thought_delta" if event.thought_delta.text:
                self._reasoning().think(event.thought_delta.text)
            case "tool_call":
                self._call(event.tool_call)
            case "plan":
                plan = checklist(event.plan)
                if plan and plan != self._plan:
                    self._plan = plan
                    self._reasoning().tell("Plan", plan)
            case "question":
                self._questions[event.question.question_id] = event.question
            case "question_resolved":
                resolved = event.question_resolved
                asked = self._questions.pop(resolved.question_id, Question())
                self._note("Question", question_line(asked, resolved))
            case "image":
                self._note("Image", image_line(event.image))
            case "notice":
                self._note("Notice", notice_line(event.notice))
            case "usage" if event.usage.HasField("tokens"):
                self._tokens = event.usage.tokens
            case "ended":
                self._end(event.ended, event.time_unix_ms // 1000)

    def _note(self, heading: str, text: str) -> None:
        if text:
            self._reasoning().tell(heading, text)

    def _message(self) -> MessageItem:
        if not isinstance(self._speaking, MessageItem):
            self._hush()
            self._speaking = MessageItem(self._writer, self._item_id("msg"), len(self._items))
            self._items.append(self._speaking)
        return self._speaking

    def _reasoning(self) -> ReasoningItem:
        if not isinstance(self._speaking, ReasoningItem):
            self._hush()
            self._speaking = ReasoningItem(self._writer, self._item_id("rs"), len(self._items))
            self._items.append(self._speaking)
        return self._speaking

    def _call(self, call: ToolCall) -> None:
        shown = self._tools.get(call.id)
        if shown is None:
            self._hush()
            tool = Tool(call.id)
            tool.merge(call)
            shown = ToolItem(self._writer, self._item_id("mcp"), len(self._items), tool)
            self._items.append(shown)
            self._tools[call.id] = shown
        elif shown.tool.is_over():
            return
        else:
            shown.tool.merge(call)
        if shown.tool.is_over():
            shown.close()
            if self._audience is Audience.CODEX:
                self._reasoning().tell(shown.tool.summary(), shown.tool.outcome())

    def _hush(self) -> None:
        """Close the open message or reasoning item, for the agent goes on with something else."""
        match self._speaking:
            case MessageItem() as message:
                message.close(COMPLETED, COMMENTARY)
            case ReasoningItem() as reasoning:
                reasoning.close(COMPLETED)
        self._speaking = None

    def _end(self, ended: Ended, at: int) -> None:
        if ended.usage.HasField("tokens"):
            self._tokens = ended.usage.tokens
        failure = failure_of(ended)
        if failure is not None:
            self._fail(failure)
            return
        assert self._object is not None
        status = INCOMPLETE if is_cut_short(ended) else COMPLETED
        self._close_tools()
        self._message().close(status, FINAL_ANSWER)
        if status == COMPLETED:
            self.response = self._object.completed(self._output(), self._tokens, at or self._created_at)
        else:
            self.response = self._object.incomplete(self._output(), self._tokens)
        self._writer.write(f"response.{status}", {"response": self.response})

    def _fail(self, error: ApiError) -> None:
        assert self._object is not None
        self._close_tools()
        match self._speaking:
            case MessageItem() as message:
                message.close(INCOMPLETE, FINAL_ANSWER)
            case ReasoningItem() as reasoning:
                reasoning.close(INCOMPLETE)
        ran = self._started and self._audience is Audience.CODEX
        code = "invalid_prompt" if ran else error.response_code()
        self.failure = error
        self.response = self._object.failed(self._output(), self._tokens, error, code)
        self._writer.write("response.failed", {"response": self.response})

    def _close_tools(self) -> None:
        for shown in self._tools.values():
            if not shown.tool.is_over():
                shown.close()

    def _output(self) -> list[dict[str, object]]:
        return [item.item for item in self._items]

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self._unique}_{len(self._items)}"
