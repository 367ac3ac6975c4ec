"""Finds envelopes in what an agent says, as it says it.

What cannot begin an envelope passes at once; what can is held until it is
known. However the text is cut into pieces, the outcome is the same: nothing
before a call is lost, and no half of a tag gets out.
"""

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from facade.openai.client_tools.judge import Called, Faulty, Foreign, Unfinished, Verdict
from facade.openai.client_tools.opening import Opening

MOST_HELD: Final = 64 * 1024
"""Characters of an envelope that are waited for; one that is longer is text."""

_CLOSE: Final = re.compile(r"</tool_call\s{0,8}>")
_MOST_CLOSE: Final = 32  # characters of a closing tag, and more
_UNREADABLE: Final = Faulty("it is not closed, or a text in it is not")


@dataclass(frozen=True, slots=True)
class Said:
    """Words that call nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """An envelope: `raw` is all of it as it was written, `verdict` what it comes to."""

    verdict: Called | Faulty
    raw: str


@dataclass(frozen=True, slots=True)
class Over:
    """Something else follows a call, or an envelope that is faulty: it is not to be told."""


Piece = Said | Found | Over


class _State(enum.Enum):
    OUTSIDE = enum.auto()
    INSIDE = enum.auto()
    BEHIND = enum.auto()
    OVER = enum.auto()


class Scanner:
    """Reads one answer, up to where nothing of it counts any more."""

    def __init__(self, nonce: str, judge: Callable[[str], Verdict]) -> None:
        self._judge = judge
        self._opening = Opening(nonce)
        self._held = ""
        self._tag = 0  # characters of the opening tag that `_held` begins with, INSIDE
        self._judged = 0  # up to there no closing tag ends it, INSIDE
        self._called = False
        self._state = _State.OUTSIDE
        self._out: list[Piece] = []

    def receive(self, text: str) -> list[Piece]:
        """Take more of the answer; return what is known now."""
        self._held += text
        while self._held and self._step():
            pass
        return self._taken()

    def end(self) -> list[Piece]:
        """Return what the end of the answer makes of what is held."""
        while self._held and self._state is not _State.OVER:
            if self._state is _State.INSIDE:
                self._settle_unclosed(_UNREADABLE)
            elif self._state is _State.OUTSIDE:
                self._say(len(self._held))
            else:
                break
            while self._held and self._step():
                pass
        return self._taken()

    def _step(self) -> bool:
        """Go on by one decision; say whether another may follow without more text."""
        match self._state:
            case _State.OUTSIDE:
                start, end = self._opening.search(self._held)
                self._say(start)
                return bool(end) and self._open(end - start)
            case _State.BEHIND:
                return self._behind()
            case _State.INSIDE:
                return self._inside()
            case _State.OVER:
                self._held = ""
                return False

    def _behind(self) -> bool:
        """Stand behind a call: another one that follows directly is made beside it."""
        rest = self._held.lstrip()
        for text in (rest, rest.removeprefix("```").lstrip()):
            start, end = self._opening.search(text)
            if start == 0 and end:
                self._held = text
                return self._open(end)
            if start == 0 or not text:
                return False  # it may be one, or nothing so far
        return self._finish()

    def _inside(self) -> bool:
        for close in self._closes(self._judged):
            verdict = self._judge(self._held[self._tag : close.start()])
            if isinstance(verdict, Unfinished):
                self._judged = close.end()
            elif inner := self._begun_anew(close.start(), verdict):
                return self._give_up(inner)
            else:
                return self._settle(verdict, close.end())
        self._judged = max(self._judged, len(self._held) - _MOST_CLOSE)
        if len(self._held) - self._tag > MOST_HELD + _MOST_CLOSE:
            return self._settle_unclosed(None)
        return False

    def _begun_anew(self, end: int, verdict: Verdict) -> int:
        """Return where an envelope begins inside one that was never closed; 0 where none does."""
        inner = self._opening.inside(self._held[:end], self._tag)
        if inner and isinstance(verdict, Called):
            body = self._held[self._opening.whole_at(self._held, inner) : end]
            return inner if isinstance(self._judge(body), Called) else 0
        return inner

    def _closes(self, start: int) -> Iterator[re.Match[str]]:
        return _CLOSE.finditer(self._held, max(start, self._tag), self._tag + MOST_HELD + _MOST_CLOSE)

    def _settle(self, verdict: Called | Faulty | Foreign, end: int) -> bool:
        raw = self._held[:end]
        match verdict:
            case Called():
                self._called, self._state = True, _State.BEHIND
                self._out.append(Found(verdict, raw))
                self._held = self._held[end:]
                return True
            case Faulty() if not self._called:
                self._out.append(Found(verdict, raw))
                return self._finish()
            case _:
                return self._give_up(end)

    def _settle_unclosed(self, fault: Faulty | None) -> bool:
        """Decide on an envelope that does not close, or closes inside a string: `None` lets it be text."""
        if inner := self._opening.inside(self._held, self._tag):
            return self._give_up(inner)
        if close := next(self._closes(0), None):
            return self._settle(_UNREADABLE, close.end())
        if fault is not None:
            return self._settle(fault, len(self._held))
        return self._give_up(self._tag)

    def _open(self, tag: int) -> bool:
        self._tag, self._judged, self._state = tag, 0, _State.INSIDE
        return True

    def _give_up(self, end: int) -> bool:
        """Take what was held up to `end` for words: behind a call they end the answer."""
        if self._called:
            return self._finish()
        self._state = _State.OUTSIDE
        self._say(end)
        return True

    def _finish(self) -> bool:
        self._out.append(Over())
        self._state, self._held = _State.OVER, ""
        return False

    def _say(self, end: int) -> None:
        if end:
            self._out.append(Said(self._held[:end]))
            self._held = self._held[end:]

    def _taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out
