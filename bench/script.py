"""What the stub says in one turn, encoded before it is needed: frames of the platform, or SSE.

Pure. Each token is two pieces of bytes with its time between them, so that a
token costs the stub one splice. In base64 the time starts at a multiple of 3 of
the payload and takes 15 bytes, which are exactly 20 characters.
"""

import base64
import json
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

from bench.tokens import TAIL, TIME_BYTES, UNTIMED, head

Dialect = Literal["native", "flat", "openai"]
"""`native` is the platform's own downlink, `flat` the older unencoded one, `openai` a model server's SSE."""

_FRAMES_PER_WRITE: Final = 16
_STAMP_MS: Final = 1_795_000_000_000  # any time will do: nothing reads it


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a server's WebSocket frame, unmasked (RFC 6455 §5.2)."""
    return _frame_head(len(payload), opcode) + payload


def _frame_head(length: int, opcode: int = 1) -> bytes:
    if length < 126:
        return struct.pack("!BB", 0x80 | opcode, length)
    if length < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, length)
    return struct.pack("!BBQ", 0x80 | opcode, 127, length)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


class Script:
    """One whole turn of `tokens` tokens: `opening`, the tokens, `ending`."""

    def __init__(
        self, opening: bytes, pieces: Sequence[tuple[bytes, bytes]], ending: bytes, *, encoded: bool
    ) -> None:
        self.opening = opening
        self.ending = ending
        self.tokens = len(pieces)
        self._pieces = pieces
        self._encode: Callable[[bytes], bytes] = base64.b64encode if encoded else bytes
        untimed = [before + self._encode(UNTIMED) + after for before, after in pieces]
        self.burst = [
            b"".join(untimed[at : at + _FRAMES_PER_WRITE]) for at in range(0, len(untimed), _FRAMES_PER_WRITE)
        ]
        """All tokens untimed, some to a write."""

    def token(self, index: int, now_us: int) -> bytes:
        """Return one token, stamped with the time."""
        before, after = self._pieces[index]
        return before + self._encode(b"%015d" % now_us) + after


@lru_cache(maxsize=64)
def script(dialect: Dialect, tokens: int) -> Script:
    """Return the turn of so many tokens."""
    match dialect:
        case "native":
            return _native(tokens)
        case "flat":
            return _flat(tokens)
        case "openai":
            return _openai(tokens)


def _native(tokens: int) -> Script:
    """Frames as the platform writes them, in mode=attach of a fresh task (upstream-protocol §6, §7)."""
    echoed = {"content": base64.b64encode(b"Write.").decode(), "attachments": []}
    opening = _row("user-input", echoed, "", 0) + _row("task-started", None, "", 1)
    pieces = []
    for index in range(tokens):
        text = b'{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"'
        padding = b" " * (-len(text + head(index)) % 3)
        before = b'{"type":"task-running","data":"' + base64.b64encode(text + padding + head(index))
        after = base64.b64encode(TAIL + b'"}}}')
        after += b'","kind":"acp_event","seq":%d,"timestamp":%d}' % (index + 2, _STAMP_MS)
        pieces.append((_frame_head(len(before) + TIME_BYTES * 4 // 3 + len(after)) + before, after))
    used = {"update": {"sessionUpdate": "usage_update", "used": tokens + 10, "size": 200_000}}
    ending = _row("task-running", used, "acp_event", tokens + 2) + _row("task-ended", None, "", tokens + 3)
    return Script(opening, pieces, ending, encoded=True)


def _row(kind: str, payload: Any, sub_kind: str, seq: int) -> bytes:
    data = None if payload is None else base64.b64encode(_compact(payload)).decode()
    row = {"type": kind, "data": data, "kind": sub_kind, "seq": seq, "timestamp": _STAMP_MS}
    if not seq:
        del row["seq"]  # omitted when 0 (§6.2)
    return frame(_compact(row))


def _flat(tokens: int) -> Script:
    """The downlink that older proxies understand: `data` is JSON text, and the server closes (§10)."""
    pieces = []
    for index in range(tokens):
        before = b'{"type":"task-running","kind":"acp_event","data":"{\\"type\\":\\"agent_message_chunk\\",'
        before += b'\\"text\\":\\"' + head(index)
        after = TAIL + b'\\"}","seq":%d,"timestamp":%d}' % (index + 2, _STAMP_MS)
        pieces.append((_frame_head(len(before) + TIME_BYTES + len(after)) + before, after))
    used = {"type": "usage_update", "input_tokens": 10, "output_tokens": tokens, "total_tokens": tokens + 10}
    running = {"type": "task-running", "kind": "acp_event", "data": json.dumps(used)}
    ending = frame(_compact(running)) + frame(_compact({"type": "task-ended"})) + frame(b"\x03\xe8", 8)
    return Script(frame(_compact({"type": "task-started"})), pieces, ending, encoded=False)


def _openai(tokens: int) -> Script:
    """A model server's chat stream in HTTP chunks, for peers that stand before one."""
    common: dict[str, Any] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": _STAMP_MS // 1000,
        "model": "bench",
    }

    def event(**rest: Any) -> bytes:
        return _chunk(b"data: " + _compact(common | rest) + b"\n\n")

    def delta(of: dict[str, str], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": of, "finish_reason": finish}]

    mark = "<time>"
    pieces = []
    for index in range(tokens):
        text = head(index).decode() + mark + TAIL.decode()
        whole = b"data: " + _compact(common | {"choices": delta({"content": text})}) + b"\n\n"
        before, after = whole.split(mark.encode())
        size = len(before) + TIME_BYTES + len(after)
        pieces.append((b"%x\r\n" % size + before, after + b"\r\n"))
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10}
    ending = event(choices=delta({}, "stop")) + event(choices=[], usage=usage)
    ending += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return Script(event(choices=delta({"role": "assistant", "content": ""})), pieces, ending, encoded=False)


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)
