"""What an agent tells: stored per task, and pushed to whoever listens."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.wire import gojson
from sandbox.wire.dialect import Dialect
from sandbox.wire.frame import Frame
from sandbox.world.history import Entry


@dataclass(frozen=True, slots=True)
class Live:
    """A frame as listeners get it: encoded once for all of them."""

    at_ns: int
    type: str
    text: str


class Channel:
    """The log of one task and its listeners, who are told in one dialect.

    Times are unix nanoseconds and strictly increase, so that a listener can cut
    the live stream exactly where its history ended.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._encode = dialect.encode
        self.log: list[Entry] = []
        self._seq = 0
        self._last_ns = 0
        self._listeners: set[asyncio.Queue[Live]] = set()

    def now_ns(self) -> int:
        """Return a time that is later than all that was told, unix ns."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return self._last_ns

    def record(self, turn: int, kind_of_frame: str, kind: str, payload: object) -> Entry:
        """Store a message without telling it."""
        self._seq += 1
        data = b"" if payload is None else gojson.dumps(payload).encode()
        entry = Entry(self.now_ns(), self._seq, turn, kind_of_frame, kind, payload, data)
        self.log.append(entry)
        return entry

    def tell(self, entry: Entry) -> None:
        """Push a stored message to the listeners."""
        if self._listeners:
            self._push(Live(entry.at_ns, entry.type, self._encode(entry.frame())))

    def signal(self, kind: str, payload: object) -> None:
        """Tell a `task-event`: live only, never stored, without seq (§8)."""
        at_ns = self.now_ns()
        data = b"" if payload is None else gojson.dumps(payload).encode()
        frame = Frame("task-event", data, kind, 0, at_ns // 1_000_000)
        self._push(Live(at_ns, "task-event", self._encode(frame)))

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Live]]:
        """Subscribe for as long as the context lasts."""
        queue: asyncio.Queue[Live] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def stored(self, turn: int, until_ns: int) -> list[Entry]:
        """Return what the log store holds of a turn that was told up to `until_ns`."""
        return [entry for entry in self.log if entry.turn == turn and entry.at_ns <= until_ns]

    @property
    def turns(self) -> int:
        """How many turns have left a trace in the log."""
        return self.log[-1].turn if self.log else 0

    def _push(self, live: Live) -> None:
        for queue in self._listeners:
            queue.put_nowait(live)
