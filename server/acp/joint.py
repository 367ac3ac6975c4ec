"""Joins what a new socket tells to what was told before the old one was lost (upstream-protocol §6.8).

PURE; docs/decisions/0011 says why it is so. The replay is folded anew and sifted.
What follows it live may begin behind a hole: a message that is stamped before the
attach and not stored yet is in neither (§6.8.3). So nothing passes of which it is
not known that nothing is missing before it; it is held, and what is stored decides.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from howler.task.v1.task_event_pb2 import Answer, TaskEvent

from server.acp.frames import Began, Echo, Erred, Frame, Noted, Over, Said, Shown, Silent, Thought
from server.acp.questions import answered
from server.acp.told import Retelling, Told
from server.acp.turn import Turn

_MOST_HELD: Final = 4 << 20  # characters of text; what is held is stored, too, and can be asked for again
_MOST_FRAMES: Final = 20_000


class Prompt:
    """How a turn is told from the one before it on the same task, by its `user-input`.

    `text` is the turn's prompt; `since` is the platform's time, in milliseconds, before which
    an input with that text was another turn's.
    """

    def __init__(self, text: str, since: int) -> None:
        self.text = text
        self.since = since

    def begins(self, echo: Echo) -> bool:
        """Tell whether it is this turn's input."""
        return echo.text == self.text and (not echo.at or echo.at >= self.since)


class Joint:
    """The place where a turn goes on.

    `told` is what its watchers were told, grown by what is let through here; all
    messages of the platform up to the number `complete` were. `machine` is fresh.
    `prompt` is None where the task has no other turn.

    `joined` is True once the socket may be followed as if nothing had been;
    `complete` and `machine` are then as far as it is. `caught_up` is True once all that
    was told was told again, `holding` while messages wait for what is stored, `another`
    once the replay is another turn's; `diverged` says where it contradicts what was told:
    it is held from there on. `witness` is a machine that has seen all that was told.
    """

    def __init__(self, told: Told, complete: int, machine: Turn, prompt: Prompt | None) -> None:
        self.told = told
        self.complete = complete
        self.machine = machine
        self.joined = False
        self.holding = False
        self.caught_up = False
        self.another = False
        self.diverged = ""
        self.witness: Turn | None = None
        self._prompt = prompt
        self._is_known = prompt is None  # that the replay is this turn's
        self._retelling = Retelling(told)
        self._unbroken = 0  # up to this number the replay left nothing out
        self._held: list[Frame] = []
        self._held_size = 0

    @classmethod
    def in_doubt(cls, machine: Turn, complete: int, prompt: Prompt | None) -> "Joint":
        """Return the joint of a socket that `machine` followed until something seemed to be missing."""
        joint = cls(machine.told, complete, machine, prompt)
        joint.holding, joint.witness = True, machine
        return joint

    @property
    def overfull(self) -> bool:
        """More is held than is worth keeping."""
        return self._held_size > _MOST_HELD or len(self._held) > _MOST_FRAMES

    @property
    def holds_the_end(self) -> bool:
        """The turn's end came, behind a gap."""
        return bool(self._held) and isinstance(self._held[-1], Over)

    def receive(self, frame: Frame) -> list[TaskEvent]:
        """Take a frame of the new socket and return what is to be told now."""
        if self.holding:
            self._hold(frame)
            return []
        if not self._is_known and isinstance(frame, Echo):
            self._is_known = self._prompt is not None and self._prompt.begins(frame)
            self.another = not self._is_known
        if self.another:
            return []
        if not self._follows(frame):
            self._hold(frame)
            return []
        news = self._retelling.sift(self.machine.receive(frame))
        self.diverged = self._retelling.diverged
        if self._retelling.covers:
            self.caught_up, self.witness = True, self.machine
        if self.machine.ended:
            news = self._ended(news, self._retelling)
        if self.diverged:
            self.holding = True
            return news
        if self.caught_up and not isinstance(frame, Silent) and self._is_at_the_end(frame.seq):
            self.joined = True
            self.complete = max(self.complete, frame.seq)
            news += self._retelling.rest()
        return news

    def _is_at_the_end(self, seq: int) -> bool:
        return seq >= self.complete if seq else not self.complete

    def _follows(self, frame: Frame) -> bool:
        """Tell whether nothing can be missing between the frame and what `machine` has seen.

        What has no number (§6.9) is believed.
        """
        seq = frame.seq
        if not seq or isinstance(frame, Silent):
            return True
        if not self._is_known:
            return False
        begins = not self._unbroken and isinstance(frame, Echo | Began)
        if begins or (self._unbroken and seq == self._unbroken + 1):
            self._unbroken = seq
            return True
        if seq <= self.complete:
            return True
        return seq == self.complete + 1 and self._retelling.covers

    def _hold(self, frame: Frame) -> None:
        """Hold a frame with those right before it. What came before a jump was history: it is stored."""
        self.holding = True
        if isinstance(frame, Silent):
            return
        if frame.seq and self._last_held + 1 != frame.seq:
            self._held.clear()
            self._held_size = 0
        self._held.append(frame)
        if isinstance(frame, Said | Thought):
            self._held_size += len(frame.text)

    @property
    def _last_held(self) -> int:
        return next((frame.seq for frame in reversed(self._held) if frame.seq), 0)

    def answer(self, question_id: str, answers: list[Answer], *, decline: bool) -> list[TaskEvent]:
        """Answer or decline an open question for a caller, whether it was told again by now or not.

        Raises LookupError and ValueError as Turn.answer does.
        """
        events = answered(self.told.asked[question_id], answers, decline=decline)
        for machine in dict.fromkeys((self.witness or self.machine, self.machine)):
            with suppress(LookupError):  # it owes the reply once it sees the question
                machine.answer(question_id, answers, decline=decline)
        for event in events:
            self.told.note(event)
        return events

    def mend(self, stored: Sequence[Frame], machine: Turn) -> list[TaskEvent]:
        """Take what is stored of the turn, from its beginning, and return what is to be told now.

        What is held must have come later than what is stored was read. `machine` is fresh.
        """
        if not self._is_ours(stored):
            return []
        retelling = Retelling(self.told)
        news = [event for frame in stored for event in retelling.sift(machine.receive(frame))]
        self.diverged = retelling.diverged
        if self.diverged:
            return news
        if retelling.covers:
            self.caught_up, self.witness = True, machine
        if machine.ended:
            self.machine = machine
            return self._ended(news, retelling)
        kept = self._kept(stored, news) if retelling.covers else None
        if kept is None:
            return news
        self.machine = machine
        self.joined = True
        self.complete = max(self.complete, self._last_held)
        for frame in self._held[kept:]:
            news += retelling.sift(machine.receive(frame))
        return news + retelling.rest()

    def _kept(self, stored: Sequence[Frame], news: list[TaskEvent]) -> int | None:
        """Return how many of the held frames are stored, None where that is not sure."""
        if not news and (not self._held or self._held[0].seq == self.complete + 1):
            return 0  # nothing is stored but what was told, and they follow that
        return overlap(stored, self._held)

    def _is_ours(self, stored: Sequence[Frame]) -> bool:
        if self._prompt is None:
            return True
        first = next((frame for frame in stored if isinstance(frame, Echo)), None)
        return first is not None and self._prompt.begins(first)

    def _ended(self, news: list[TaskEvent], retelling: Retelling) -> list[TaskEvent]:
        if not retelling.covers:
            self.diverged = self.diverged or "it ends before all of what was told"
            return []
        self.joined = True
        return news


def overlap(stored: Sequence[Frame], held: Sequence[Frame]) -> int | None:
    """Return how many of the held frames are stored, None where that is not sure.

    The held ones follow each other without a gap, and what is stored has none. It is
    sure once what is stored reaches into what is held, by number or time, but not
    beyond, and its end matches in one way only: text that repeats itself matches in several.
    """
    least = _least(stored, held)
    if least is None:
        return None
    said, thought, marks = _text(Said, stored), _text(Thought, stored), _marks(stored)
    told, mused = "", ""
    count, found = None, -1
    for place, frame in enumerate(held, 1):
        match frame:
            case Said(text=text):
                told += text
            case Thought(text=text):
                mused += text
        if place < least or not frame.seq or not (said.endswith(told) and thought.endswith(mused)):
            continue
        marked = _marks(held[:place])
        if not _ends_with(marks, marked):
            continue
        size = len(told) + len(mused) + len(marked)
        if count is None:
            count, found = place, size
        elif size != found:
            return None
    return count


def _least(stored: Sequence[Frame], held: Sequence[Frame]) -> int | None:
    """Return how many of the held frames are stored at least; None where it may be none, or more.

    A row is as late as one of its messages: its number is the first's (§6.8.4), its time one of theirs.
    """
    number = max((frame.seq for frame in stored), default=0)
    time = max((frame.at for frame in stored), default=0)
    last = next((frame for frame in reversed(held) if frame.seq), None)
    if last is None or number > last.seq or (last.at and time > last.at):
        return None
    reached = [
        place
        for place, frame in enumerate(held, 1)
        if frame.seq and (frame.seq <= number or 0 < frame.at < time)
    ]
    return max(reached, default=None)


def _text(kind: type[Said | Thought], frames: Sequence[Frame]) -> str:
    return "".join(frame.text for frame in frames if isinstance(frame, kind))


def _marks(frames: Sequence[Frame]) -> list[Frame]:
    """Return what a replay tells each time anew, without number and time; task-events are not stored (§8)."""
    return [
        msgspec.structs.replace(frame, at=0, seq=0)
        for frame in frames
        if isinstance(frame, Shown | Erred | Noted) and frame.seq
    ]


def _ends_with(marks: list[Frame], end: list[Frame]) -> bool:
    return len(end) <= len(marks) and marks[len(marks) - len(end) :] == end
