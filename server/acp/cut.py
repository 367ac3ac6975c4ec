"""Bounds what one event may hold, so that a message fits every gRPC client's limit of 4 MiB.

PURE. Lengths are in UTF-8 bytes.
"""

from typing import Final

MAX_FIELD_BYTES: Final = 1 << 20
MAX_DELTA_BYTES: Final = 256 << 10
MAX_DELTA_CHARS: Final = MAX_DELTA_BYTES // 4  # no character takes more than four bytes
MAX_IMAGE_BYTES: Final = 3 << 20
MAX_LIST_BYTES: Final = 3 << 20  # of a message whose plan, commands or questions are told whole
MAX_NAME_CHARS: Final = 4096  # a title, a path, an address
MAX_LOCATIONS: Final = 100


def bounded(text: str) -> tuple[str, bool]:
    """Return the text, cut to MAX_FIELD_BYTES, and whether it was cut."""
    if len(text) <= MAX_FIELD_BYTES // 4:
        return text, False
    raw = text.encode()
    if len(raw) <= MAX_FIELD_BYTES:
        return text, False
    return raw[:MAX_FIELD_BYTES].decode(errors="ignore"), True


def named(text: str) -> str:
    """Return a title, a path or another name, cut to MAX_NAME_CHARS."""
    return text[:MAX_NAME_CHARS]


def pieces(text: str) -> list[str]:
    """Return the text in pieces of at most MAX_DELTA_BYTES; nothing for an empty text."""
    return [text[start : start + MAX_DELTA_CHARS] for start in range(0, len(text), MAX_DELTA_CHARS)]
