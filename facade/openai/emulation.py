"""Makes the answer that a client asked for out of the turns of an agent that knows only text.

Sans I/O, between a turn's events and the machines that tell them: words become
calls of the client's tools, or the JSON that was asked for. Where the turn's
answer is neither, one more turn on the same task may mend it; where that
cannot be had or does not help, the words are told as they are.

What goes on: text before a call passes as it comes. An answer that is to be
JSON is held until it is known to be.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.task.v1.start_turn_pb2 import Attempt, Message, Role, StartTurn, TaskRetention, Transcript
from howler.task.v1.task_event_pb2 import Accepted, Ended, EndReason, TaskEvent, TextDelta, TokenUsage

from facade.openai import json_answer
from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.declared import Kind
from facade.openai.client_tools.desk import Desk, Taken
from facade.openai.client_tools.history import past_call
from facade.openai.heard import Heard
from facade.openai.json_answer import JsonFormat, read_answer

_COMPLETED: Final = EndReason.END_REASON_COMPLETED
_RETRY: Final = Attempt.ATTEMPT_RETRY
_ALWAYS: Final = frozenset({"usage", "keep_alive"})
_FIRST_ONLY: Final = frozenset({"accepted", "progress", "started"})
_OF_NEW_TASKS: Final = (
    "model",
    "strict_model",
    "messages",
    "instructions",
    "attachments",
    "idempotency",
    "recognise_history",
    "turn_id",
)


class Emulation:
    """One answer: its first turn, and perhaps one that mends it."""

    def __init__(self, start: StartTurn, desk: Desk | None, wanted: JsonFormat | None) -> None:
        self._desk = desk
        self._wanted = wanted
        self._accepted = Accepted()
        self._held: list[str] = []
        self._kept = ""  # words of the first turn that are told if the second does not replace them
        self._spoke = False  # words of the first turn were told
        self._tokens = TokenUsage()
        self._is_cut = False
        self._mends = False
        self._mending: StartTurn | None = None
        self._over = False
        self._told: list[str] = []  # words of the answer
        self._calls: list[ClientCall] = []
        self.start = _guided(start, desk, wanted)
        """The first turn."""

    @property
    def turn_to_cut(self) -> str:
        """The id of the running turn, where it has said all that counts; else empty."""
        return self._accepted.turn_id if self._is_cut and not self._over else ""

    def follow_up(self) -> StartTurn | None:
        """Return the turn to run now that the one before has ended; None where the answer is complete."""
        start, self._mending = self._mending, None
        return start

    def retelling(self) -> RetellRequest | None:
        """Return how the conversation goes by what the client was told; None where it needs no telling."""
        conversation_id = self._accepted.conversation_id
        if not (self._over and conversation_id and self.start.recognise_history):
            return None
        if not (self._calls or self._mends or self._wanted):
            return None  # it is what the agent said
        words = "".join(self._told)
        answer = words.rstrip() + "".join(map(_as_told, self._calls)) if self._calls else words
        said = [*self.start.messages.messages, Message(role=Role.ROLE_ASSISTANT, text=answer)]
        return RetellRequest(
            conversation_id=conversation_id,
            principal=self.start.principal,
            turn_id=self._accepted.turn_id,
            history=Transcript(messages=said),
        )

    def receive(self, events: Iterable[TaskEvent]) -> list[Heard]:
        """Take events of the running turn; return what they mean for the answer."""
        out: list[Heard] = []
        for event in events:
            kind = event.WhichOneof("event") or ""
            if kind == "text_delta":
                out.extend(self._take_text(event))
            elif kind == "accepted":
                self._accepted = event.accepted
                if self._desk is not None:
                    self._desk.begin(event.accepted.turn_id)
                if not self._mends:
                    out.append(event)
            elif kind == "ended":
                out.extend(self._end(event))
            elif kind in _ALWAYS or self._passes(kind):
                out.append(event)
        return out

    def give_up(self) -> list[Heard]:
        """Return the rest of the answer, where the turn that should have mended it failed."""
        return list(self._tell_end(TaskEvent(ended=Ended(reason=_COMPLETED))))

    def _passes(self, kind: str) -> bool:
        """Say whether what the agent does beside talking is told: not once a call was made."""
        if self._mends and kind in _FIRST_ONLY:
            return False
        if self._desk is None:
            return True
        if self._desk.made and kind == "tool_call":
            self._is_cut = True  # it does not wait for the result
        return not (self._is_cut or self._desk.made)

    def _take_text(self, event: TaskEvent) -> Iterator[Heard]:
        if self._desk is None:
            self._held.append(event.text_delta.text)
        elif not self._is_cut:
            yield from self._tell(self._desk.receive(event.text_delta.text))

    def _tell(self, taken: Taken) -> Iterator[Heard]:
        assert self._desk is not None
        if taken.words:
            if self._wanted is not None or self._mends:
                self._held.append(taken.words)
            else:
                self._spoke = True
                yield self._text(taken.words)
        self._calls.extend(taken.calls)
        yield from taken.calls
        self._is_cut = self._desk.closed

    def _end(self, event: TaskEvent) -> Iterator[Heard]:
        if self._desk is not None and not self._is_cut:
            yield from self._tell(self._desk.end())
        self._add_up(event.ended)
        orderly = event.ended.reason == _COMPLETED or self._is_cut
        wish = self._wish() if orderly and event.ended.resumable and not self._mends else None
        if wish is None:
            yield from self._tell_end(event)
        else:
            self._kept, self._held = self._words(), []
            if self._desk is not None:
                self._desk.begin(self._accepted.turn_id)  # until the next one is accepted
            self._mending = self._turn_with(wish)
            self._mends, self._is_cut = True, False

    def _wish(self) -> str | None:
        if self._desk is not None:
            if self._desk.made:
                return None
            if wish := self._desk.wish():
                return wish
        if self._wanted is None:
            return None
        problem = read_answer(self._words(), self._wanted).problem
        return None if problem is None else json_answer.mending(problem)

    def _words(self) -> str:
        return "".join(self._held) + (self._desk.raw if self._desk is not None else "")

    def _tell_end(self, event: TaskEvent) -> Iterator[Heard]:
        """Tell what was held, and the end: that of an answer, where a call was made or a turn was cut."""
        self._over = True
        ended = Ended()
        ended.CopyFrom(event.ended)
        called = self._desk is not None and self._desk.made > 0
        if not called and (words := self._last_words()):
            yield self._text(words)
        if self._is_cut or self._mends or called:
            ended = Ended(reason=_COMPLETED, resumable=event.ended.resumable)
        ended.usage.tokens.CopyFrom(self._tokens)
        yield TaskEvent(time_unix_ms=event.time_unix_ms, ended=ended)

    def _last_words(self) -> str:
        mended = self._words()
        if self._wanted is not None:
            return read_answer(mended or self._kept, self._wanted).text
        apart = [""] if self._spoke and self._mends and not self._kept else []
        return "\n\n".join(apart + [words for words in (self._kept, mended) if words])

    def _text(self, words: str) -> TaskEvent:
        self._told.append(words)
        return TaskEvent(text_delta=TextDelta(text=words))

    def _add_up(self, ended: Ended) -> None:
        told, sums = ended.usage.tokens, self._tokens
        sums.input_tokens += told.input_tokens
        sums.output_tokens += told.output_tokens
        sums.total_tokens += told.total_tokens
        sums.source = max(sums.source, told.source)

    def _turn_with(self, prompt: str) -> StartTurn:
        """Return a turn that goes on where the first one ended: one, were that told to many."""
        start = StartTurn()
        start.CopyFrom(self.start)
        for field in _OF_NEW_TASKS:
            start.ClearField(field)
        start.prompt = prompt
        if self._accepted.conversation_id:
            start.conversation_id = self._accepted.conversation_id
            start.ClearField("session")
        else:
            start.task_id = self._accepted.task_id
        first = self._accepted.turn_id  # not what was asked for, where somebody asked before
        start.idempotency.key, start.idempotency.attempt = f"mend:{first}", _RETRY
        if self.start.turn_id:
            start.turn_id = follow_up_of(first)
        return start


def follow_up_of(turn_id: str) -> str:
    """Return the id of the turn that mends a turn: whoever knows the first one can find it."""
    return f"turn_{hashlib.sha256(turn_id.encode()).hexdigest()[:32]}"


def _guided(start: StartTurn, desk: Desk | None, wanted: JsonFormat | None) -> StartTurn:
    """Return the start of the first turn, whose task must outlive it to take another."""
    guided = StartTurn()
    guided.CopyFrom(start)
    parts = [desk.guidance()] if desk is not None else []
    if wanted is not None:
        condition = "When you call no tool: " if desk is not None else ""
        parts.append(condition + wanted.guidance())
    guided.guidance = "\n".join(parts)
    guided.retention = TaskRetention.TASK_RETENTION_KEEP
    return guided


def _as_told(call: ClientCall) -> str:
    """Return what the call reads when the client sends it back (transcript.py)."""
    call_id = "" if call.tool.kind is Kind.LEGACY else call.call_id
    return past_call(call.tool.full_name, call.payload, call_id)
