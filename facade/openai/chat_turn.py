"""Folds the events of a turn into the pieces of a chat completion.

Sans I/O. The answer goes to `content` byte for byte. What stands beside it goes
where the presentation says: by default all of it to `reasoning_content`, thoughts
as they are, and on lines of their own one line per tool, the plan as a checklist,
questions with their answers, images, notices.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from howler.task.v1.task_event_pb2 import Ended, Question, TaskEvent, TokenUsage
from howler.task.v1.tool_call_pb2 import ToolCall

from facade.errors import ApiError
from facade.openai.asides import INLINE, REASONING, THINK_TAGS
from facade.openai.beside import Beside
from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.declared import Kind
from facade.openai.heard import Heard
from facade.openai.narration import checklist, image_line, notice_line, question_line
from facade.openai.outcome import failure_of, is_cut_short
from facade.openai.presentation import Presentation, ReasoningField, Thinking, ToolDisplay
from facade.openai.tools import Tool

_NO_TOKENS: Final = TokenUsage()


class ChatSink(Protocol):
    """Takes the pieces: `begin`, then contents and reasonings, then one of `finish` and `fail`."""

    def begin(self, model: str) -> None:
        """Begin the answer; `model` is what runs it, empty where nobody has told yet."""

    def content(self, text: str) -> None:
        """Take more of the answer."""

    def contents(self, texts: Sequence[str]) -> None:
        """Take more of it that came together; each is a piece as it came."""

    def reasoning(self, text: str) -> None:
        """Take more of what is told beside the answer."""

    def idle(self) -> None:
        """Take note that nothing happened for a while."""

    def call(self, call: ClientCall, index: int) -> None:
        """Take a call of a client's tool, the answer's first (`index` 0) or a later one."""

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """End the answer with its one `finish_reason`."""

    def fail(self, error: ApiError) -> None:
        """End without a `finish_reason`."""


class ChatTurn:
    """One turn, from its first event to its last; what comes after changes nothing."""

    def __init__(self, sink: ChatSink, presentation: Presentation) -> None:
        self._sink = sink
        self._begun = False
        self._tools: dict[str, Tool] = {}
        self._questions: dict[str, Question] = {}
        self._plan = ""
        self._tokens = _NO_TOKENS
        self._calls: list[ClientCall] = []
        self._thoughts, self._lines = _places(sink, presentation)
        self._beside: Beside | None = None  # which of the two told something last, since the answer did
        self._answered = False
        self.finished = False

    def begin(self, model: str = "") -> None:
        """Begin the answer, once."""
        if not self._begun:
            self._begun = True
            self._sink.begin(model)

    def receive(self, events: Iterable[Heard]) -> None:
        """Take events in order."""
        texts: list[str] = []
        try:
            for event in events:
                if self.finished:
                    return
                if isinstance(event, ClientCall):
                    if texts:
                        self._say(texts)
                    self._hand_over(event)
                    continue
                if text := event.text_delta.text:  # nearly all are such: which they are need not be asked
                    texts.append(text)
                    continue
                if texts:
                    self._say(texts)
                kind = event.WhichOneof("event")
                if not self._begun:
                    self.begin(event.accepted.model.id if kind == "accepted" else "")
                self._take(event, kind)
        finally:  # also where something breaks: what came before it is told
            if texts:
                self._say(texts)

    def fail(self, error: ApiError) -> None:
        """End the turn by a failure that no event tells."""
        if not self.finished:
            self.begin()
            self._hush()
            self._sink.fail(error)
            self._finish()

    def _say(self, texts: list[str]) -> None:
        """Tell the answer's texts that came one after the other, and forget them."""
        if not self._begun:
            self.begin()
        if self._beside is not None:
            self._hush()
        self._answered = True
        if len(texts) == 1:
            self._sink.content(texts[0])
        else:
            self._sink.contents(texts)
        texts.clear()

    def _take(self, event: TaskEvent, kind: str | None) -> None:
        match kind:
            case "text_delta":  # without text
                self._hush()
            case "thought_delta" if self._thoughts is not None:
                self._turn_to(self._thoughts).think(event.thought_delta.text)
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
            case "keep_alive":
                self._sink.idle()
            case "ended":
                self._end(event.ended)

    def _hush(self) -> None:
        if self._beside is not None:
            self._beside.hush()
            self._beside = None

    def _turn_to(self, place: Beside) -> Beside:
        """Return the place, where the next thing is told."""
        if self._beside is not place:
            self._hush()
            self._beside = place
            place.follows_text = self._answered
        return place

    def _line(self, text: str) -> None:
        if text and self._lines is not None:
            self._turn_to(self._lines).line(text)

    def _call(self, call: ToolCall) -> None:
        tool = self._tools.setdefault(call.id, Tool(call.id))
        if tool.is_over():
            return
        told = tool.is_running()
        tool.merge(call)
        if self._lines is None or (told and not tool.is_over()):
            return
        if not tool.is_over():
            if tool.is_running():
                self._turn_to(self._lines).begin_tool(tool)
        elif told:
            self._turn_to(self._lines).end_tool(tool)
        else:
            self._turn_to(self._lines).tell_tool(tool)

    def _end(self, ended: Ended) -> None:
        if ended.usage.HasField("tokens"):
            self._tokens = ended.usage.tokens
        self._hush()
        failure = failure_of(ended)
        if failure is not None:
            self._sink.fail(failure)
        else:
            self._sink.finish(self._finish_reason(ended), self._tokens)
        self._finish()

    def _finish(self) -> None:
        """Let go of the sink, which holds this turn: only the collector would end such a circle."""
        self.finished = True
        self._thoughts = self._lines = None
        del self._sink

    def _hand_over(self, call: ClientCall) -> None:
        self._hush()
        self._sink.call(call, len(self._calls))
        self._calls.append(call)

    def _finish_reason(self, ended: Ended) -> str:
        if self._calls:
            return "function_call" if self._calls[0].tool.kind is Kind.LEGACY else "tool_calls"
        return "length" if is_cut_short(ended) else "stop"


def _places(sink: ChatSink, presentation: Presentation) -> tuple[Beside | None, Beside | None]:
    """Return where thoughts are told and where all else is, None for nowhere."""
    if presentation.tools is ToolDisplay.NONE:
        return None, None
    tagged = presentation.reasoning_field is ReasoningField.THINK_TAGS
    reasoning = Beside(sink.content, THINK_TAGS) if tagged else Beside(sink.reasoning, REASONING)
    if presentation.tools is not ToolDisplay.TEXT and presentation.thinking is Thinking.REASONING:
        return reasoning, reasoning
    inline = Beside(sink.content, INLINE)
    lines = inline if presentation.tools is ToolDisplay.TEXT else reasoning
    match presentation.thinking:
        case Thinking.REASONING:
            return reasoning, lines
        case Thinking.PREFIX:
            return inline, lines
        case Thinking.OFF:
            return None, lines
