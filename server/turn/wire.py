"""Events as they go over the wire: each is serialized once, and joined for whoever reads it.

PURE. `events` is field 1 of StreamResponse and of TurnFrame, so that one spelling of an event
serves both (https://protobuf.dev/programming-guides/encoding). tests/unit/turn/test_wire.py
holds it against the messages themselves.
"""

from collections.abc import Iterable
from typing import Final

from google.rpc.status_pb2 import Status

_LENGTH: Final = 0x0A  # field 1, length-delimited
_TAG, _FIRST_SEQ, _FAILED = b"\x10", b"\x18", b"\x22"  # fields 2 and 3 varints, 4 length-delimited
_TOLD: Final = b"\x28\x01"  # field 5, true
_SHORT: Final = [bytes((_LENGTH, size)) for size in range(0x80)]


def varint(number: int) -> bytes:
    """Return a number that is not negative in base 128, low digits first."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def first_field(message: bytes) -> bytes:
    """Return a serialized message as field 1 of another: an event of a frame, a frame of a response."""
    size = len(message)
    head = _SHORT[size] if size < 0x80 else b"\x0a" + varint(size)
    return head + message


def behind_fields(fields: bytes, start: int, count: int) -> int:
    """Return the place behind so many fields of such a spelling, the first of which begins at `start`."""
    for _ in range(count):
        size, body = _size_at(fields, start)
        start = body + size
    return start


def cut_fields(fields: bytes, start: int, count: int, limit: int) -> tuple[int, int, int]:
    """Return the place behind what of these fields fits, how many that are, and their size.

    `limit` bounds their messages in bytes, `count` their number; there is one at least.
    """
    taken = total = 0
    while taken < count:
        size, body = _size_at(fields, start)
        if taken and total + size > limit:
            break
        start = body + size
        taken += 1
        total += size
    return start, taken, total


def count_fields(fields: bytes) -> tuple[int, int]:
    """Return how many such fields these are, and where the message of the last one begins."""
    count = body = end = 0
    while end < len(fields):
        size, body = _size_at(fields, end)
        end = body + size
        count += 1
    return count, body


def _size_at(fields: bytes, start: int) -> tuple[int, int]:
    """Return the size of the message of a field and where the message begins."""
    size, place, shift = fields[start + 1], start + 2, 7
    if size < 0x80:
        return size, place
    size &= 0x7F
    while (digit := fields[place]) >= 0x80:
        size |= (digit & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return size | digit << shift, place + 1


def frame_of(tag: int) -> bytes:
    """Return what all TurnFrames of a tag that hold events have in common: see turn_frame."""
    return b"%b%b%b" % (_TAG, varint(tag), _FIRST_SEQ)


def turn_frame(common: bytes, first_seq: int, events: Iterable[bytes]) -> bytes:
    """Return a TurnFrame of events that are fields already."""
    return b"%b%b%b" % (b"".join(events), common, varint(first_seq))


def told(frame: bytes) -> bytes:
    """Return a TurnFrame that says beside what it holds that this was all."""
    return frame + _TOLD


def failed_frame(tag: int, status: Status) -> bytes:
    """Return the TurnFrame of a turn that failed."""
    said = status.SerializeToString()
    return b"%b%b%b%b%b" % (_TAG, varint(tag), _FAILED, varint(len(said)), said)


def relay_response(frames: Iterable[bytes]) -> bytes:
    """Return a RelayResponse of frames."""
    return b"".join(map(first_field, frames))
