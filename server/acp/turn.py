"""Folds the platform's frames into the events of one turn.

Sans I/O: no await, no clock, no logging. A frame is understood, passed on as
`raw`, or counted in `ignored`; there is no fourth outcome. Whatever comes in
whatever order, the events obey the grammar stated at TaskEvent.
"""

from collections.abc import Callable, Mapping
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import (
    Answer,
    Commands,
    EndReason,
    Image,
    Notice,
    NoticeKind,
    Plan,
    QuestionResolved,
    Raw,
    TaskEvent,
    TokenUsage,
    Usage,
    UsageSource,
)

from server.acp.cut import MAX_DELTA_CHARS, MAX_IMAGE_BYTES, bounded, named, pieces
from server.acp.frames import (
    Answered,
    Asked,
    Began,
    Called,
    Echo,
    Erred,
    Frame,
    Interrupted,
    Junk,
    Metered,
    Noted,
    Offered,
    Over,
    Planned,
    Said,
    Severed,
    Shown,
    Silent,
    Thought,
    Unknown,
)
from server.acp.questions import Questions
from server.acp.told import Told, Track
from server.acp.tools import Tools
from server.acp.uplink import Reply

# Looked up once: the wrappers of protobuf's enums take 2 µs for each of their names.
_COMPLETED: Final = EndReason.END_REASON_COMPLETED
_ESTIMATED: Final = UsageSource.USAGE_SOURCE_ESTIMATED
_EXACT: Final = UsageSource.USAGE_SOURCE_EXACT


class Turn:
    """One turn of an agent, from its first frame to its last.

    `prompt_bytes` is what the agent was given, in UTF-8 bytes, for the estimate
    of its tokens. `began` is True once the platform showed a sign of the agent,
    `ended` once the turn is over, `severed` holds what the platform said when it
    gave the socket up, `ignored` counts the messages that no dialect explains.
    `told` is the fold of its events, `owed` the replies that are owed to the platform.
    `answered` holds how questions were answered of which a replay may tell again.
    """

    def __init__(
        self,
        prompt_bytes: int,
        questions: QuestionPolicy,
        answered: Mapping[str, QuestionResolved | None] | None = None,
    ) -> None:
        self.began = False
        self.ended = False
        self.severed: str | None = None
        self.ignored = 0
        self._prompt_bytes = prompt_bytes
        self.told = Told()
        self._tools = Tools()
        self._questions = Questions(questions, answered or {})
        self.owed = self._questions.owed
        self._meter = Metered()
        self.complaint: str | None = None
        """What the agent reported last, if it did nothing since."""
        self._interruption: tuple[EndReason, ErrorReason, str] | None = None

    def receive(self, frame: Frame) -> list[TaskEvent]:
        """Return the events that one frame means, perhaps none."""
        if self.ended:
            return []  # whatever comes late changes nothing
        if isinstance(frame, Said):  # as nearly all are
            events = self._spoken(self.told.text, frame.text, _text_delta)
        elif isinstance(frame, Thought):
            events = self._spoken(self.told.thought, frame.text, _thought_delta)
        else:
            events = self._shown(frame)
            for event in events:
                self.told.note(event)
        if at := frame.at:
            for event in events:
                event.time_unix_ms = at
        return events

    def _shown(self, frame: Frame) -> list[TaskEvent]:
        """Return what a frame means that is no piece of a text."""
        match frame:
            case Silent() | Echo():
                return []
            case Began():
                return self._content([])
            case Called():
                return self._content(self._called(frame))
            case Asked(id=name, state=state):
                asked = self._questions.asked(frame)
                if self._tools.knows(name):
                    asked = self._tools.receive(Called(id=name, state=state)) + asked
                return self._content(asked)
            case Answered():
                return self._content(self._questions.answered_elsewhere(frame))
            case Over(usage=usage):
                return self._over(usage)
            case Erred(message=message):
                self.complaint = message
                return self._content([_notice(NoticeKind.NOTICE_KIND_AGENT_ERROR, message)])
            case Interrupted():
                if self._interruption is None:
                    self.interrupt(EndReason.END_REASON_CANCELLED, "the turn was cancelled on the platform")
                return []
            case Severed(message=message):
                self.severed = message
                return []
            case Junk():
                self.ignored += 1
                return []
        return self._told(frame)

    def _called(self, told: Called) -> list[TaskEvent]:
        """Tell a tool call; what carries a question is told as that question.

        An agent may announce the call first and fill its questions in later: then it is both.
        """
        if not self._questions.knows(told.id):
            return self._tools.receive(told)
        settled = self._questions.changed(told)
        return self._tools.receive(told) + settled if self._tools.knows(told.id) else settled

    def _told(self, frame: Frame) -> list[TaskEvent]:
        """Return what is told beside the answer."""
        match frame:
            case Planned(entries=entries):
                return self._content([TaskEvent(plan=Plan(entries=entries))])
            case Metered():
                return self._metered(frame)
            case Offered(commands=commands):
                return self._content([TaskEvent(commands=Commands(commands=commands))])
            case Shown(mime_type=mime, data=data, uri=uri):
                if len(data) > MAX_IMAGE_BYTES:
                    text = f"the agent shows an image of {len(data)} bytes, more than Howler passes on"
                    return self._content([_notice(NoticeKind.NOTICE_KIND_UNSPECIFIED, text)])
                return self._content([TaskEvent(image=Image(mime_type=mime, data=data, uri=uri))])
            case Noted(kind=kind, message=message):
                return [_notice(kind, message)]
            case Unknown(type=name, kind=kind, data=data):
                data, truncated = bounded(data)
                raw = Raw(type=named(name), kind=named(kind), data=data, truncated=truncated)
                return [TaskEvent(raw=raw)]
        raise AssertionError(f"no case for {type(frame).__name__}")

    def _spoken(self, track: Track, text: str, delta: Callable[[str], TaskEvent]) -> list[TaskEvent]:
        if not text:
            return []
        track.add(text)
        self.complaint = None  # the agent went on: its error was not the end
        deltas = [delta(text)] if len(text) <= MAX_DELTA_CHARS else list(map(delta, pieces(text)))
        return deltas if self.began else self._content(deltas)

    def _content(self, events: list[TaskEvent]) -> list[TaskEvent]:
        """Put `started` before the first content, told by the platform or not."""
        if self.began:
            return events
        self.began = self.told.started = True
        started = TaskEvent()
        started.started.SetInParent()
        return [started, *events]

    def _metered(self, told: Metered) -> list[TaskEvent]:
        """Keep what was told before where this frame is silent (§7.5)."""
        known = self._meter
        self._meter = Metered(
            context_used=_newer(told.context_used, known.context_used),
            context_size=_newer(told.context_size, known.context_size),
            input_tokens=_newer(told.input_tokens, known.input_tokens),
            output_tokens=_newer(told.output_tokens, known.output_tokens),
            total_tokens=_newer(told.total_tokens, known.total_tokens),
        )
        event = TaskEvent()
        _tell_usage(event.usage, self._meter)
        return self._content([event]) if event.HasField("usage") else []

    def _over(self, usage: Metered | None) -> list[TaskEvent]:
        metered = self._metered(usage) if usage else []
        if self._interruption is not None:
            reason, error, message = self._interruption
            return metered + self.end(reason, error=error, message=message, resumable=True)
        if self.complaint is not None:
            return metered + self.end(
                EndReason.END_REASON_FAILED,
                error=ErrorReason.ERROR_REASON_AGENT_ERROR,
                message=self.complaint,
                resumable=True,
            )
        return metered + self.end(_COMPLETED, resumable=True)

    def interrupt(
        self, reason: EndReason, message: str, error: ErrorReason = ErrorReason.ERROR_REASON_CANCELLED
    ) -> None:
        """Say how the turn ends once the platform reports its end: somebody asked it to stop."""
        self._interruption = (reason, error, message)

    def end(
        self,
        reason: EndReason,
        *,
        error: ErrorReason = ErrorReason.ERROR_REASON_UNSPECIFIED,
        message: str = "",
        retry_after: float | None = None,
        resumable: bool = False,
    ) -> list[TaskEvent]:
        """End the turn, by the platform's word or by ours, and close what is open.

        `retry_after` is in seconds. A turn that has ended already has no more events.
        """
        if self.ended:
            return []
        self.ended = True
        event = TaskEvent()
        ended = event.ended
        ended.reason, ended.error, ended.message, ended.resumable = reason, error, named(message), resumable
        self._tell_used(ended.usage)
        if retry_after is not None:
            ended.retry_after.FromMilliseconds(round(retry_after * 1000))
        return [*self._tools.close(), *self._questions.close(), event]

    def answer(self, question_id: str, answers: list[Answer], *, decline: bool) -> list[TaskEvent]:
        """Answer or decline an open question for a caller.

        Raises LookupError when no such question is open, ValueError when an item lacks its answer.
        """
        events = self._questions.answer(question_id, answers, decline=decline)
        for event in events:
            self.told.note(event)
        return events

    def to_send(self) -> list[Reply]:
        """Drain the replies owed to the platform."""
        replies = list(self.owed.values())
        self.owed.clear()
        return replies

    def _tell_used(self, usage: Usage) -> None:
        _tell_usage(usage, self._meter)
        if not usage.HasField("tokens"):
            answer = self.told.text.length + self.told.thought.length
            read, written = -(-self._prompt_bytes // 4), -(-answer // 4)
            _tell_tokens(usage.tokens, read, written, read + written, _ESTIMATED)


# Made field by field, which costs a third of the constructors.


def _text_delta(text: str) -> TaskEvent:
    event = TaskEvent()
    event.text_delta.text = text
    return event


def _thought_delta(text: str) -> TaskEvent:
    event = TaskEvent()
    event.thought_delta.text = text
    return event


def _notice(kind: NoticeKind, message: str) -> TaskEvent:
    return TaskEvent(notice=Notice(kind=kind, message=bounded(message)[0]))


def _newer(told: int | None, known: int | None) -> int | None:
    return known if told is None else told


def _sum(read: int, written: int) -> int:
    return min(read + written, (1 << 63) - 1)  # each fits an int64; hostile ones together may not


def _tell_usage(usage: Usage, meter: Metered) -> None:
    """Say in a usage what was metered, nothing where nothing was."""
    if meter.context_used is not None or meter.context_size is not None:
        context = usage.context
        context.used_tokens, context.size_tokens = meter.context_used or 0, meter.context_size or 0
        context.SetInParent()
    if (meter.input_tokens, meter.output_tokens, meter.total_tokens) != (None, None, None):
        read, written = meter.input_tokens or 0, meter.output_tokens or 0
        total = meter.total_tokens if meter.total_tokens is not None else _sum(read, written)
        _tell_tokens(usage.tokens, read, written, total, _EXACT)


def _tell_tokens(tokens: TokenUsage, read: int, written: int, total: int, source: UsageSource) -> None:
    tokens.input_tokens, tokens.output_tokens, tokens.total_tokens = read, written, total
    tokens.source = source
