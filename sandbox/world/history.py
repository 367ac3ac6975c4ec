"""PURE: the stored log of a task, and how its replay is folded (protocol §6.8).

History keeps one row for neighbouring chunks of one text variant: `seq` is the
first chunk's, the time the last one's. Plan, usage and commands do not part a
message (§7.1), so a row may stand behind rows of higher seq. What exactly is
merged nobody knows (§12.6), so a `Merging` may choose.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeGuard

from sandbox.wire import gojson
from sandbox.wire.frame import Frame

_TEXT: Final = {"agent_message_chunk", "agent_thought_chunk"}
_TRANSPARENT: Final = {"plan", "usage_update", "available_commands_update"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored message. `at_ns` is unix nanoseconds, `data` the payload's bytes."""

    at_ns: int
    seq: int
    turn: int
    type: str
    kind: str = ""
    payload: object = None
    data: bytes = b""

    def frame(self) -> Frame:
        """Return the entry as a WebSocket frame."""
        return Frame(self.type, self.data, self.kind, self.seq, self.at_ns // 1_000_000)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def update_of(entry: Entry) -> dict[str, object]:
    """Return the ACP update that an entry holds, {} where it holds none."""
    if entry.kind == "acp_event" and is_object(entry.payload):
        update = entry.payload.get("update")
        if is_object(update):
            return update
    return {}


def text_of(entry: Entry) -> tuple[str, str] | None:
    """Return (variant, text) of a text chunk, None for anything else."""
    update = update_of(entry)
    variant, content = update.get("sessionUpdate"), update.get("content")
    if isinstance(variant, str) and variant in _TEXT and is_object(content) and content.get("type") == "text":
        return variant, str(content.get("text", ""))
    return None


class Merging:
    """Chooses how a replay is folded: whether a chunk goes into the row before it, and a row's time.

    Without a seed all neighbours are merged, and a row has the time of its last chunk.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed) if seed is not None else None  # noqa: S311 - a test's dice

    def merges(self) -> bool:
        """Choose for one chunk."""
        return self._random is None or self._random.random() < 0.8

    def is_late(self) -> bool:
        """Choose for one row: the time of its last chunk, or that of its first."""
        return self._random is None or self._random.random() < 0.5


class _Row:
    """A row that still grows."""

    def __init__(self, first: Entry, variant: str, text: str, *, is_late: bool) -> None:
        self.first, self.variant, self.texts, self.at_ns = first, variant, [text], first.at_ns
        self._is_late = is_late

    def add(self, entry: Entry, text: str) -> None:
        """Take the next chunk in."""
        self.texts.append(text)
        if self._is_late:
            self.at_ns = entry.at_ns

    def close(self) -> Entry:
        content = {"type": "text", "text": "".join(self.texts)}
        payload = {"update": {"sessionUpdate": self.variant, "content": content}}
        return replace(self.first, at_ns=self.at_ns, payload=payload, data=gojson.dumps(payload).encode())


def fold(entries: Iterable[Entry], merging: Merging) -> list[Entry]:
    """Return the rows of a replay, in time order."""
    rows: list[Entry] = []
    growing: _Row | None = None
    for entry in entries:
        match text_of(entry):
            case (variant, text):
                if growing is not None and growing.variant == variant and merging.merges():
                    growing.add(entry, text)
                    continue
                if growing is not None:
                    rows.append(growing.close())
                growing = _Row(entry, variant, text, is_late=merging.is_late())
            case None:
                if growing is not None and update_of(entry).get("sessionUpdate") not in _TRANSPARENT:
                    rows.append(growing.close())
                    growing = None
                rows.append(entry)
    if growing is not None:
        rows.append(growing.close())
    return sorted(rows, key=lambda row: row.at_ns)
