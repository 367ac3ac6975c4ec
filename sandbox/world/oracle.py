"""What a test may ask: what was received, and what stands (GET /__sandbox/state)."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

_FRAMES: Final = 5_000
_REQUESTS: Final = 5_000
_SHOWN: Final = 2_000  # characters of a frame that are kept
_SECRET_HEADERS: Final = {"cookie", "authorization"}


@dataclass(slots=True)
class SocketRecord:
    """An open WebSocket, as the oracle shows it."""

    number: int
    channel: str  # stream, control, public-stream
    mode: str
    task_id: str
    account: str
    frames_sent: int = 0
    bytes_sent: int = 0


@dataclass(slots=True)
class Oracle:
    """Counts and bounded records of all that came in."""

    requests: Counter[str] = field(default_factory=Counter)
    request_log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_REQUESTS))
    frames: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_FRAMES))
    sockets: dict[int, SocketRecord] = field(default_factory=dict)
    sockets_opened: int = 0

    def request(self, route: str, path: str, account: str, headers: dict[str, str]) -> dict[str, Any]:
        """Note a request; the record returned takes its status later."""
        self.requests[route] += 1
        shown = {name: value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
        record = {"route": route, "path": path, "account": account, "headers": shown, "status": None}
        self.request_log.append(record)
        return record

    def open_socket(self, channel: str, mode: str, task_id: str, account: str) -> SocketRecord:
        """Note that a socket opened."""
        self.sockets_opened += 1
        record = SocketRecord(self.sockets_opened, channel, mode, task_id, account)
        self.sockets[record.number] = record
        return record

    def close_socket(self, record: SocketRecord) -> None:
        """Note that a socket is gone."""
        self.sockets.pop(record.number, None)

    def frame(self, record: SocketRecord, raw: bytes, outcome: str) -> None:
        """Note a frame that came in, and what became of it."""
        self.frames.append(
            {
                "socket": record.number,
                "channel": record.channel,
                "mode": record.mode,
                "task_id": record.task_id,
                "size": len(raw),
                "frame": raw.decode("utf-8", "replace")[:_SHOWN],
                "outcome": outcome,
            }
        )
