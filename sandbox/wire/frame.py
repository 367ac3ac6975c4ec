"""One WebSocket message of the platform, both directions (protocol §6.2)."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from sandbox.wire import gojson
from sandbox.wire.body import BindError, Body

# RFC 4648 §4, padded. Go's decoder skips CR and LF and refuses all else.
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class MalformedFrameError(ValueError):
    """What the platform drops without a word; the message says why, for the oracle."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame. `data` is the payload after base64, `timestamp` unix milliseconds."""

    type: str
    data: bytes = b""
    kind: str = ""
    seq: int = 0
    timestamp: int = 0


def encode(frame: Frame) -> str:
    """Return the frame as the server writes it: `data` null when empty, `seq` absent when 0."""
    fields: dict[str, object] = {
        "type": frame.type,
        "data": base64.b64encode(frame.data).decode("ascii") if frame.data else None,
        "kind": frame.kind,
    }
    if frame.seq:
        fields["seq"] = frame.seq
    fields["timestamp"] = frame.timestamp
    return gojson.dumps(fields)


def parse(message: bytes | str) -> Frame:
    """Read a client's message; MalformedFrameError for what the platform drops."""
    try:
        body = Body(gojson.loads(message))
        return Frame(
            type=body.text("type"),
            data=_bytes(body.raw("data")),
            kind=body.text("kind"),
            seq=body.unsigned("seq"),
            timestamp=body.integer("timestamp"),
        )
    except BindError as error:
        raise MalformedFrameError(str(error)) from None
    except ValueError:
        raise MalformedFrameError("not JSON") from None


def strict_base64(text: str) -> bytes | None:
    """Decode as Go's StdEncoding does; None for what it refuses."""
    compact = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(compact):
        return None
    return binascii.a2b_base64(compact)


def _bytes(value: Any) -> bytes:
    """Fill a Go []byte: from null, a base64 string or an array of byte numbers."""
    match value:
        case None:
            return b""
        case str():
            decoded = strict_base64(value)
            if decoded is None:
                raise MalformedFrameError("data is not base64")
            return decoded
        case list():
            return bytes(_byte(item) for item in value)
        case _:
            raise MalformedFrameError("data is neither a string nor an array")


def _byte(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise MalformedFrameError("data holds something else than bytes")
    return value
