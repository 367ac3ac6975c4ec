"""The tokens that the stub writes and the client reads back: their text, their order, their delay.

Pure. A token's text is `<index>@<time>;`, with the time at which the stub wrote
it in microseconds of CLOCK_MONOTONIC, which all processes of a machine share.
In a burst the time is 0: tokens wait in queues there, and a delay would say nothing.
"""

import re
from dataclasses import dataclass, field
from typing import Final

TIME_BYTES: Final = 15
UNTIMED: Final = b"0" * TIME_BYTES
_TOKEN: Final = re.compile(rb"(\d{6})@(\d{15});")
_LONGEST: Final = 6 + 1 + TIME_BYTES + 1
_ASK: Final = re.compile(r"(\d+) tokens every ([\d.]+) ms")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a prompt asks of the stub: so many tokens, one every `every_ms` milliseconds; 0 is a burst."""

    tokens: int
    every_ms: float = 0.0

    def prompt(self) -> str:
        """Return the prompt that asks for it."""
        return f"Write {self.tokens} tokens every {self.every_ms:g} ms."

    @classmethod
    def read(cls, prompt: str) -> "Ask":
        """Return what a prompt asks for, wherever in it; a prompt that asks for nothing gets one token."""
        found = _ASK.search(prompt)
        return cls(max(1, int(found[1])), float(found[2])) if found else cls(1)


def head(index: int) -> bytes:
    """Return a token's bytes before its time."""
    return b"%06d@" % index


TAIL: Final = b";"
"""A token's bytes after its time."""


@dataclass(slots=True)
class Seen:
    """What was read of many streams. Times in milliseconds.

    `ttft` is from before the connection was opened to the first token, `delay`
    from the stub's write to our read, for every timed token but the first.
    `reads` counts the reads that brought tokens.
    """

    ttft: list[float] = field(default_factory=list)
    delay: list[float] = field(default_factory=list)
    events: int = 0
    reads: int = 0


class Tally:
    """Checks the tokens of one stream: each once and in order, none missing, none too many."""

    __slots__ = ("_began_us", "_carry", "_expected", "_next", "_seen", "out_of_order")

    def __init__(self, seen: Seen, expected: int, began_us: int) -> None:
        self._seen = seen
        self._expected = expected
        self._began_us = began_us
        self._next = 0
        self._carry = b""
        self.out_of_order = False

    def feed(self, data: bytes, now_us: int) -> None:
        """Read bytes that may hold tokens, whole or cut, between whatever else."""
        if self._carry:
            data = self._carry + data
        end, index, seen = 0, self._next, self._seen
        for token in _TOKEN.finditer(data):
            if int(token[1]) != index:
                self.out_of_order = True
            if index == 0:
                seen.ttft.append((now_us - self._began_us) / 1000)
            elif token[2] != UNTIMED:
                seen.delay.append((now_us - int(token[2])) / 1000)
            index += 1
            end = token.end()
        seen.events += index - self._next
        seen.reads += end > 0
        self._next = index
        self._carry = data[max(end, len(data) - _LONGEST + 1) :]

    def verdict(self) -> str:
        """Return what is wrong with the whole of it, or ""."""
        if self.out_of_order:
            return "order"
        if self._next != self._expected:
            return "missing" if self._next < self._expected else "repeated"
        return ""
