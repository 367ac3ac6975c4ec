"""How a backend spells the messages of its sockets: the platform's way, or an older one (protocol §10)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from sandbox.wire import frame, older


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect: its encoder and parser, and what goes with it.

    `parse` raises MalformedFrameError for what the backend drops.
    """

    encode: Callable[[frame.Frame], str]
    parse: Callable[[bytes | str], frame.Frame]
    hangs_up: bool = False  # closes the socket behind task-ended, as the platform never does (§6.10)
    counts_tokens: bool = False  # usage is tokens, where the platform tells the context window (§7.5)
    ends_with_usage: bool = False  # task-ended tells the usage of the turn


DIALECTS: Final = {
    "native": Dialect(frame.encode, frame.parse),
    "text": Dialect(
        partial(older.encode, words=older.TEXT), older.parse_text, hangs_up=True, counts_tokens=True
    ),
    "legacy": Dialect(
        partial(older.encode, words=older.LEGACY),
        older.parse_legacy,
        hangs_up=True,
        counts_tokens=True,
        ends_with_usage=True,
    ),
}
"""By the names that HOWLER_SANDBOX_DIALECT takes."""
