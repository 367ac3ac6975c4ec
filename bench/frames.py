"""Takes WebSocket frames apart (RFC 6455 §5.2), masked or not. Pure; no fragments: neither side sends any."""

from collections.abc import Iterator


class Unframer:
    """Turns bytes as they come into frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield opcode and payload of every frame that is whole now."""
        data = self._rest + data if self._rest else data
        at, size = 0, len(data)
        while size - at >= 2:
            length, body = data[at + 1] & 127, at + 2
            if length == 126:
                body += 2
                length = int.from_bytes(data[at + 2 : body], "big")
            elif length == 127:
                body += 8
                length = int.from_bytes(data[at + 2 : body], "big")
            masked = data[at + 1] & 128
            body += 4 if masked else 0
            if body + length > size:
                break
            payload = data[body : body + length]
            if masked:
                payload = _unmasked(payload, data[body - 4 : body])
            yield data[at] & 15, payload
            at = body + length
        self._rest = data[at:]


def _unmasked(payload: bytes, key: bytes) -> bytes:
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
