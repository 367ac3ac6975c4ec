"""PURE: the stored log of a task, and how its replay is folded (protocol §6.8).

History keeps one row for neighbouring chunks of one text variant: `seq` is the
first chunk's, the time the last one's. Plan, usage and commands do not part a
message (§7.1), so a row may stand behind rows of higher seq.
"""

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


class _Row:
    """A row that still grows."""

    def __init__(self, first: Entry, variant: str, text: str) -> None:
        self.first, self.variant, self.texts, self.at_ns = first, variant, [text], first.at_ns

    def close(self) -> Entry:
        content = {"type": "text", "text": "".join(self.texts)}
        payload = {"update": {"sessionUpdate": self.variant, "content": content}}
        return replace(self.first, at_ns=self.at_ns, payload=payload, data=gojson.dumps(payload).encode())


def fold(entries: Iterable[Entry]) -> list[Entry]:
    """Return the rows of a replay, in time order."""
    rows: list[Entry] = []
    growing: _Row | None = None
    for entry in entries:
        match text_of(entry):
            case (variant, text):
                if growing is not None and growing.variant == variant:
                    growing.texts.append(text)
                    growing.at_ns = entry.at_ns
                    continue
                if growing is not None:
                    rows.append(growing.close())
                growing = _Row(entry, variant, text)
            case None:
                if growing is not None and update_of(entry).get("sessionUpdate") not in _TRANSPARENT:
                    rows.append(growing.close())
                    growing = None
                rows.append(entry)
    if growing is not None:
        rows.append(growing.close())
    return sorted(rows, key=lambda row: row.at_ns)
