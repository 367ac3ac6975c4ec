"""What a turn's watchers were told, folded, and what a replay adds to it (upstream-protocol §6.8).

PURE. A replay is the same turn told anew, and not in the same pieces: rows are
merged, plans and usage move. So it is folded from its beginning, and compared
with the fold of what was told: only what extends that goes on.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import Message
from howler.task.v1.task_event_pb2 import NoticeKind, Question, QuestionResolved, TaskEvent
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState

_FINAL: Final = (ToolCallState.TOOL_CALL_STATE_COMPLETED, ToolCallState.TOOL_CALL_STATE_FAILED)
_CALL_FIELDS: Final = ("title", "kind", "raw_input", "output", "raw_output", "locations", "diffs")
_STANDING: Final = ("title", "kind")  # in every event of a call
_NEVER_REPLAYED: Final = (
    NoticeKind.NOTICE_KIND_FILES_CHANGED,  # task-events are not persisted (§8)
    NoticeKind.NOTICE_KIND_PORTS_CHANGED,
    NoticeKind.NOTICE_KIND_RECONNECTING,  # our own
    NoticeKind.NOTICE_KIND_RECONNECTED,
    NoticeKind.NOTICE_KIND_CONVERSATION_REPLAYED,
)
_PIECES: Final = 512  # that are kept before they become a part of the digest
_LONG: Final = 1 << 16  # characters of a piece that is not kept
_SHORT: Final = 64  # bytes of what is its own mark


class _Contradiction(Exception):
    """A replay contradicts what was told. The message says where, and holds nothing of either."""


class Track:
    """A text that is told piece by piece, known by its length and its digest: its size does not matter.

    `heard` is given the text, many pieces at once: all of it once they are settled.
    """

    __slots__ = ("_digest", "_length", "_pieces", "heard")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._length = 0
        self._pieces: list[str] = []
        self.heard: Callable[[str], None] | None = None

    def add(self, text: str) -> None:
        """Append a piece."""
        pieces = self._pieces
        pieces.append(text)
        if len(pieces) > _PIECES or len(text) > _LONG:
            self.settle()

    def settle(self) -> None:
        """Have all pieces so far counted and heard."""
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        raw = text.encode()
        self._digest.update(raw)
        self._length += len(raw)
        if self.heard is not None:
            self.heard(text)

    def go_on_in(self, track: "Track") -> None:
        """Have another track heard from now on, which has all of this one."""
        self.settle()
        track.settle()
        heard, self.heard = self.heard, None
        track.heard = heard

    @property
    def length(self) -> int:
        """Its length in UTF-8 bytes."""
        self.settle()
        return self._length

    @property
    def digest(self) -> bytes:
        """What tells it from every other text of its length."""
        self.settle()
        return self._digest.digest()


class _Pursuit:
    """Follows a track that was told with the pieces of a replay, until the replay has caught up."""

    def __init__(self, told: Track, name: str) -> None:
        self._told = told
        self._name = name
        self._digest = hashlib.sha256()
        self._length = 0
        self.caught_up = not told.length

    def beyond(self, text: str) -> str:
        """Return the part of a piece that was not told yet."""
        if self.caught_up:
            return text
        raw = text.encode()
        room = self._told.length - self._length
        head, rest = raw[:room], raw[room:]
        self._digest.update(head)
        self._length += len(head)
        if len(head) < room:
            return ""
        self.caught_up = True
        if self._digest.digest() != self._told.digest:
            raise _Contradiction(f"another {self._name} than was told, within its first {self._length} bytes")
        try:
            return rest.decode()
        except UnicodeDecodeError:
            raise _Contradiction(f"another {self._name} than was told, at byte {self._length}") from None


class _Call:
    """A tool call as it was told: its state, and a mark of what each of its fields says."""

    __slots__ = ("marks", "state")

    def __init__(self) -> None:
        self.state = ToolCallState.TOOL_CALL_STATE_UNSPECIFIED
        self.marks: dict[str, bytes] = {}

    def note(self, call: ToolCall) -> None:
        """Take note of a change."""
        self.state = max(self.state, call.state)
        self.marks.update(_marks(call))


class _Chase:
    """Puts a tool call together from the events of a replay, until it is as it was told, or further."""

    def __init__(self, told: _Call) -> None:
        self._told = told
        self._seen = _Call()
        self._whole = ToolCall()

    def caught_up(self, call: ToolCall) -> bool:
        """Take a change; tell whether the call is as it was told now, or further."""
        self._seen.note(call)
        for name in _CALL_FIELDS:
            if isinstance(value := getattr(call, name), str):
                if value:
                    setattr(self._whole, name, value)
            elif len(value):
                self._whole.ClearField(name)
                getattr(self._whole, name).extend(value)
        self._whole.id = call.id
        self._whole.truncated |= call.truncated
        if self._told.state in _FINAL and self._seen.state in _FINAL and self._seen.state != self._told.state:
            raise _Contradiction("a tool call ended otherwise than was told")
        return self._told.state not in _FINAL and (
            self._seen.state > self._told.state
            or (self._seen.state == self._told.state and self._seen.marks == self._told.marks)
        )

    @property
    def reached(self) -> bool:
        """The call is as far as it was told."""
        return self._seen.state >= self._told.state

    @property
    def difference(self) -> TaskEvent | None:
        """The event that tells what was not told yet, None where nothing is left to tell."""
        if not self.reached or self._told.state in _FINAL:
            return None
        news = ToolCall()
        news.CopyFrom(self._whole)
        news.state = self._seen.state
        for name, mark in self._told.marks.items():
            if self._seen.marks.get(name) == mark and name not in _STANDING:
                news.ClearField(name)
        if news.state == self._told.state and self._seen.marks.items() <= self._told.marks.items():
            return None
        return TaskEvent(tool_call=news)


class Told:
    """The fold of what a turn's watchers were told.

    `started` says whether they know that the agent began, `tools` and `questions`
    hold what they know of each by its id, `asked` the questions that are open. It grows
    with each event noted; the size of texts and outputs does not matter.
    """

    def __init__(self) -> None:
        self.started = False
        self.text = Track()
        self.thought = Track()
        self.tools: dict[str, _Call] = {}
        self.questions: dict[str, QuestionResolved | None] = {}
        self.asked: dict[str, Question] = {}
        self.marks: defaultdict[bytes, int] = defaultdict(int)

    def note(self, event: TaskEvent) -> None:
        """Take note of an event that is told."""
        match event.WhichOneof("event"):
            case "text_delta":
                self.text.add(event.text_delta.text)
            case "thought_delta":
                self.thought.add(event.thought_delta.text)
            case "started":
                self.started = True
            case "tool_call":
                self.tools.setdefault(event.tool_call.id, _Call()).note(event.tool_call)
            case "question":
                if self.questions.setdefault(event.question.question_id, None) is None:
                    self.asked[event.question.question_id] = event.question
            case "question_resolved":
                self.asked.pop(event.question_resolved.question_id, None)
                self.questions[event.question_resolved.question_id] = event.question_resolved
            case "plan" | "usage" | "commands" | "image" | "raw" | "notice" as kind:
                if kind != "notice" or event.notice.kind not in _NEVER_REPLAYED:
                    self.marks[_mark(kind, getattr(event, kind))] += 1

    def is_open(self, event: TaskEvent) -> bool:
        """Tell whether an event that closes a call or a question comes to one that was not told closed."""
        match event.WhichOneof("event"):
            case "tool_call":
                call = self.tools.get(event.tool_call.id)
                return call is None or call.state not in _FINAL
            case "question_resolved":
                return self.questions.get(event.question_resolved.question_id) is None
        return True

    @property
    def extent(self) -> int:
        """How much was told: who told more has a larger one."""
        return (
            self.started
            + self.text.length
            + self.thought.length
            + sum(call.state for call in self.tools.values())
            + sum(1 + (answer is not None) for answer in self.questions.values())
            + sum(self.marks.values())
        )


class Retelling:
    """Sifts the events of a replay: what was told goes no further, what extends it does.

    What it lets through is noted in `told`, for it is told then. `diverged` says where the
    replay contradicts what was told; from there on nothing is let through.
    """

    def __init__(self, told: Told) -> None:
        self.told = told
        self._text = _Pursuit(told.text, "answer")
        self._thought = _Pursuit(told.thought, "thought")
        self._chases = {name: _Chase(call) for name, call in told.tools.items()}
        self._questions = set(told.questions)
        self._marks = told.marks.copy()
        self._begins = not told.started
        self.diverged = ""

    @property
    def covers(self) -> bool:
        """True once the replay has told all that was told before.

        Marks do not count: what replaces itself may be missing in a replay, and has its place nowhere.
        """
        return (
            self._text.caught_up
            and self._thought.caught_up
            and self._begins
            and not self._questions
            and all(chase.reached for chase in self._chases.values())
        )

    def sift(self, events: Iterable[TaskEvent]) -> list[TaskEvent]:
        """Return what extends the told."""
        news = []
        for event in events:
            if self.diverged:
                break
            try:
                new = self._sifted(event)
            except _Contradiction as contradiction:
                self.diverged = str(contradiction)
                break
            if new is not None:
                self.told.note(new)
                news.append(new)
        return news

    def _sifted(self, event: TaskEvent) -> TaskEvent | None:
        match event.WhichOneof("event"):
            case "text_delta":
                event.text_delta.text = self._text.beyond(event.text_delta.text)
                return event if event.text_delta.text else None
            case "thought_delta":
                event.thought_delta.text = self._thought.beyond(event.thought_delta.text)
                return event if event.thought_delta.text else None
            case "started":
                self._begins = True
                return None if self.told.started else event
            case "tool_call":
                return self._called(event)
            case "question":
                name = event.question.question_id
                self._questions.discard(name)
                return None if name in self.told.questions else event
            case "question_resolved":
                known = self.told.questions.get(event.question_resolved.question_id)
                return event if known is None else None
            case "plan" | "usage" | "commands" | "image" | "raw" | "notice" as kind:
                mark = _mark(kind, getattr(event, kind))
                if self._marks[mark] > 0:
                    self._marks[mark] -= 1
                    return None
        return event

    def _called(self, event: TaskEvent) -> TaskEvent | None:
        chase = self._chases.get(event.tool_call.id)
        if chase is None:
            return event
        if not chase.caught_up(event.tool_call):
            return None
        del self._chases[event.tool_call.id]
        news = chase.difference
        if news is not None:
            news.time_unix_ms = event.time_unix_ms
        return news

    def rest(self) -> list[TaskEvent]:
        """Return what is left to tell of calls, once no more is replayed."""
        left = [news for chase in self._chases.values() if (news := chase.difference) is not None]
        for event in left:
            del self._chases[event.tool_call.id]
            self.told.note(event)
        return left


def _marks(call: ToolCall) -> dict[str, bytes]:
    """Return a mark of what each field says that stands in an event of a call."""
    marks = {}
    for name in _CALL_FIELDS:
        value = getattr(call, name)
        if not value:
            continue
        said = value.encode() if isinstance(value, str) else b"".join(_spelled(item) for item in value)
        marks[name] = hashlib.blake2b(said, digest_size=16).digest()
    return marks


def _mark(kind: str, message: Message) -> bytes:
    said = kind.encode() + b"\0" + _spelled(message)
    return said if len(said) <= _SHORT else hashlib.blake2b(said, digest_size=16).digest()


def _spelled(message: Message) -> bytes:
    raw = message.SerializeToString(deterministic=True)
    return len(raw).to_bytes(4) + raw
