"""Numbers the events of a streamed response and gathers their bytes."""

from typing import Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode


class EventWriter:
    """Writes `event: <type>` / `data: <json>` frames; `sequence_number` is 0, 1, 2 … without a gap.

    Those up to `after` are counted and not written: the client has them.
    """

    def __init__(self, after: int = -1) -> None:
        self._sequence = 0
        self._after = after
        self._out: list[bytes] = []

    def write(self, type_: str, fields: dict[str, object]) -> None:
        """Write one event."""
        if self._sequence > self._after:
            data = {"type": type_, "sequence_number": self._sequence} | fields
            self._out.append(b"event: %b\ndata: %b\n\n" % (type_.encode(), _encode(data)))
        self._sequence += 1

    def write_delta(self, template: "DeltaTemplate", delta: str) -> None:
        """Write one event of the hot path: the number and the text spliced into bytes made before."""
        if self._sequence > self._after:
            self._out.append(
                b"%b%d%b%b}\n\n" % (template.head, self._sequence, template.middle, _encode(delta))
            )
        self._sequence += 1

    def take(self) -> bytes:
        """Drain what was written."""
        out = b"".join(self._out)
        self._out.clear()
        return out


class DeltaTemplate:
    """The fixed bytes of a delta event: all fields but its number and its text."""

    __slots__ = ("head", "middle")

    def __init__(self, type_: str, fields: dict[str, object]) -> None:
        name = type_.encode()
        self.head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name)
        self.middle = b"," + _encode(fields)[1:-1] + b',"delta":'
