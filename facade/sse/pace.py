"""When answers speak unasked, so that nobody takes a silence for a lost connection (openai-surface.md §8)."""

import enum
from dataclasses import dataclass
from typing import Final

COMMENT: Final = b": keep-alive\n"
"""A comment without a blank line after it, which would end an event: openai-python may read one there."""


class KeepAlive(enum.StrEnum):
    """What fills the silences of a stream (HOWLER_KEEP_ALIVE)."""

    EVENT = "event"
    """A valid event that says nothing: the one kind that resets every client's timer."""
    COMMENT = "comment"
    OFF = "off"


class NonstreamPadding(enum.StrEnum):
    """Which whole answers begin before they are known, with blanks (HOWLER_NONSTREAM_PADDING)."""

    RESPONSES = "responses"
    """Those whose failures can still be told: a response has a status of its own."""
    ALL = "all"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Pace:
    """When a stream speaks unasked, in seconds."""

    open_after: float = 10.0
    """The first chunk goes out then, were the turn not accepted: proxies wait no longer."""
    keep_alive_after: float = 15.0
    """Silence after which one keep-alive is sent."""
    keep_alive: KeepAlive = KeepAlive.EVENT


@dataclass(frozen=True, slots=True)
class Padding:
    """When a whole answer begins with blanks, and how often more of them follow, in seconds."""

    after: float = 30.0
    every: float = 15.0
