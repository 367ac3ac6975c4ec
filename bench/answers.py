"""Reads the answers of a gateway, or of the stub itself, as they come. Pure.

Each reader takes bytes in any cut and returns those that hold tokens; `done` is
its proper end, `failed` what went wrong in so many words, or "".
"""

import base64
from typing import Final, Protocol

from bench.frames import Unframer

_DATA: Final = b'"data":"'
_TAIL_BYTES: Final = 64


class Answer(Protocol):
    """An answer that is being read."""

    done: bool
    failed: str

    def take(self, data: bytes) -> bytes:
        """Read on and return what may hold tokens."""


class ChatAnswer:
    """The chunks of a streamed chat completion. Every token stands in exactly one of them."""

    def __init__(self) -> None:
        self.done = False
        self.failed = ""
        self._tail = b""

    def take(self, data: bytes) -> bytes:
        """Read on; the end is `[DONE]`, a failure is a chunk that begins with `error`."""
        seam = self._tail + data[:_TAIL_BYTES]
        if b'data: {"error"' in data or b'data: {"error"' in seam:
            self.failed = "error chunk"
        end = data[-_TAIL_BYTES:] if len(data) >= _TAIL_BYTES else seam
        if b"data: [DONE]" in end:
            self.done = True
        self._tail = end[-_TAIL_BYTES:]
        return data


class ResponsesAnswer:
    """The events of a streamed response; tokens count in its deltas only, later events repeat the text."""

    def __init__(self) -> None:
        self.done = False
        self.failed = ""
        self._rest = b""

    def take(self, data: bytes) -> bytes:
        """Read on; the end is `response.completed`."""
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        found = []
        for event in whole:
            kind = event[: event.find(b"\n")]
            if kind == b"event: response.output_text.delta":
                found.append(event)
            elif kind == b"event: response.completed":
                self.done = True
            elif kind in (b"event: response.failed", b"event: response.incomplete", b"event: error"):
                self.failed = kind.removeprefix(b"event: ").decode()
        return b"".join(found)


class StreamAnswer:
    """The platform's own frames, native dialect, with no gateway between."""

    def __init__(self) -> None:
        self.done = False
        self.failed = ""
        self._unframer = Unframer()

    def take(self, data: bytes) -> bytes:
        """Read on; the end is `task-ended`."""
        found = []
        for opcode, payload in self._unframer.feed(data):
            if opcode == 8:
                self.failed = self.failed or ("" if self.done else "closed")
            elif b'"task-ended"' in payload:
                self.done = True
            elif payload.startswith(b'{"type":"task-running"'):
                start = payload.find(_DATA) + len(_DATA)
                found.append(base64.b64decode(payload[start : payload.find(b'"', start)]))
        return b"".join(found)
