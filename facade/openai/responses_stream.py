"""Tells a turn as the events of a streamed response (openai-surface.md §6).

Sans I/O. Text becomes messages. By default thoughts and what people should read
beside the answer become summary parts of reasoning items, and the agent's tools
`mcp_call`s; presentation.py has the other ways. The last item is always a message,
were it empty, for agent loops call again without one. The end is exactly one of
`response.completed`, `incomplete` and `failed`, after all items were closed.
"""

from collections.abc import Iterable

from howler.task.v1.task_event_pb2 import Ended, EndReason, Question, TaskEvent, TokenUsage
from howler.task.v1.tool_call_pb2 import ToolCall

from facade.errors import ApiError
from facade.openai.client_tools.call import ClientCall
from facade.openai.event_writer import EventWriter
from facade.openai.heard import Heard
from facade.openai.narration import checklist, image_line, notice_line, question_line
from facade.openai.outcome import failure_of, is_cut_short
from facade.openai.output import Output
from facade.openai.output_items import COMPLETED, INCOMPLETE, MessageItem
from facade.openai.presentation import Audience, Presentation, Thinking, ToolDisplay
from facade.openai.response_object import ResponseObject
from facade.openai.responses_request import Echo
from facade.openai.tools import Tool

_CANCELLED = EndReason.END_REASON_CANCELLED


class ResponsesStream:
    """A streamed response: events in, bytes of SSE out, nothing after the terminal event.

    `model` is told until the platform names the one that runs. `unique` makes
    the ids of the response and its items. `response` is the final response, once there is one.
    The events up to number `after` are counted and not told. `turn_id` is the turn's, once
    it is known; who sets `steered` and interrupts it has its end say so.
    """

    def __init__(
        self,
        unique: str,
        created_at: int,
        model: str,
        echo: Echo,
        presentation: Presentation,
        after: int = -1,
    ) -> None:
        self.id = f"resp_{unique}"
        self._created_at = created_at
        self._model = model
        self._echo = echo
        self._shown = presentation
        self._writer = EventWriter(after)
        self._object: ResponseObject | None = None
        self._output = Output(self._writer, unique)
        self._tools: dict[str, Tool] = {}
        self._questions: dict[str, Question] = {}
        self._plan = ""
        self._tokens = TokenUsage()
        self._started = False
        self._cancelled = False
        self.turn_id = ""
        self.steered = False
        self.failure: ApiError | None = None
        self.response: dict[str, object] | None = None

    @property
    def finished(self) -> bool:
        """Everything was told."""
        return self.response is not None

    @property
    def begun(self) -> bool:
        """Something was heard of the turn."""
        return self._object is not None

    def now(self) -> dict[str, object]:
        """Return the response as it is: queued, in progress with what there is of it, or over.

        A cancelled one has no event of its own: it ends incomplete and is called `cancelled` later (§6.1).
        """
        if self.response is not None:
            told = {"status": "cancelled", "incomplete_details": None} if self._cancelled else {}
            return self.response | told
        if self._object is None:
            return ResponseObject(self.id, self._created_at, self._model, self._echo).queued()
        return self._object.so_far(self._output.items(), self._tokens)

    def open(self) -> bytes:
        """Return the first events, where the platform takes its time to accept the turn."""
        self._begin("")
        return self._writer.take()

    def receive(self, events: Iterable[Heard]) -> bytes:
        """Return the frames that the events mean, perhaps none."""
        output = self._output
        for event in events:
            if self.response is not None:
                break
            if isinstance(event, ClientCall):
                self._begin("")
                output.client_call(event)
                continue
            if (text := event.text_delta.text) and isinstance(output.speaking, MessageItem):
                output.speaking.say(text)  # as nearly all are
                continue
            kind = event.WhichOneof("event")
            self._begin(event.accepted.model.id if kind == "accepted" else "")
            self._take(event, kind)
        return self._writer.take()

    def keep_alive(self) -> bytes:
        """Return a repeated `response.in_progress`: Codex's idle timer heeds events only (§8)."""
        if not self.finished:
            self._idle()
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
        self._object = ResponseObject(self.id, self._created_at, model or self._model, self._echo)
        for type_ in ("response.created", "response.in_progress"):
            self._writer.write(type_, {"response": self._object.in_progress()})

    def _take(self, event: TaskEvent, kind: str | None) -> None:
        match kind:
            case "accepted":
                self.turn_id = event.accepted.turn_id
            case "started":
                self._started = True
            case "text_delta" if event.text_delta.text:
                self._output.message().say(event.text_delta.text)
            case "thought_delta" if event.thought_delta.text:
                self._think(event.thought_delta.text)
            case "tool_call":
                self._call(event.tool_call)
            case "plan":
                plan = checklist(event.plan)
                if plan and plan != self._plan:
                    self._plan = plan
                    self._note("Plan", plan, f"[plan]\n{plan}")
            case "question":
                self._questions[event.question.question_id] = event.question
            case "question_resolved":
                resolved = event.question_resolved
                line = question_line(self._questions.pop(resolved.question_id, Question()), resolved)
                self._note("Question", line, line)
            case "image":
                self._note("Image", image_line(event.image), image_line(event.image))
            case "notice":
                self._note("Notice", notice_line(event.notice), notice_line(event.notice))
            case "usage" if event.usage.HasField("tokens"):
                self._tokens = event.usage.tokens
            case "keep_alive":
                self._idle()
            case "ended":
                self._end(event.ended, event.time_unix_ms // 1000)

    def _idle(self) -> None:
        if self._object is not None:
            self._writer.write("response.in_progress", {"response": self._object.in_progress()})

    def _think(self, text: str) -> None:
        if self._shown.tools is ToolDisplay.NONE:
            return
        match self._shown.thinking:
            case Thinking.REASONING:
                self._output.reasoning().think(text)
            case Thinking.PREFIX:
                self._output.aside().think(text)

    def _note(self, heading: str, text: str, line: str) -> None:
        """Tell something beside the answer: a part of reasoning under its heading, or lines."""
        if not text or self._shown.tools is ToolDisplay.NONE:
            return
        if self._shown.tools is ToolDisplay.TEXT:
            self._output.aside().line(line)
        else:
            self._output.reasoning().tell(heading, text)

    def _call(self, call: ToolCall) -> None:
        tool = self._tools.setdefault(call.id, Tool(call.id))
        if tool.is_over():
            return
        tool.merge(call)
        match self._shown.tools:
            case ToolDisplay.AUTO:
                self._output.mcp_call(tool)
                if tool.is_over() and self._shown.audience is Audience.CODEX:
                    self._output.reasoning().tell(tool.summary(), tool.outcome())
            case ToolDisplay.FUNCTION_CALL:
                self._output.function_call(tool)
            case ToolDisplay.REASONING if tool.is_over():
                self._output.reasoning().tell(tool.summary(), tool.outcome())
            case ToolDisplay.TEXT if tool.is_over():
                self._output.aside().tell_tool(tool)

    def _end(self, ended: Ended, at: int) -> None:
        if ended.usage.HasField("tokens"):
            self._tokens = ended.usage.tokens
        failure = failure_of(ended)
        if failure is not None:
            self._fail(failure)
            return
        assert self._object is not None
        self._cancelled = ended.reason == _CANCELLED
        status = INCOMPLETE if is_cut_short(ended) else COMPLETED
        self._output.end(status)
        if status == COMPLETED:
            self.response = self._object.completed(self._output.items(), self._tokens, at or self._created_at)
        else:
            reason = "steered" if self.steered and self._cancelled else "max_output_tokens"
            self.response = self._object.incomplete(self._output.items(), self._tokens, reason)
        self._writer.write(f"response.{status}", {"response": self.response})

    def _fail(self, error: ApiError) -> None:
        assert self._object is not None
        self._output.break_off()
        ran = self._started and self._shown.audience is Audience.CODEX
        code = "invalid_prompt" if ran else error.response_code()
        self.failure = error
        self.response = self._object.failed(self._output.items(), self._tokens, error, code)
        self._writer.write("response.failed", {"response": self.response})
