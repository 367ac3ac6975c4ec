"""Typed access to a JSON object as Go's decoder fills a struct.

Key names match without regard to case, the last of equal keys wins, `null` means
absent, unknown keys are ignored, a value of the wrong type is an error.
"""

import re
from typing import Any, Final, Self

NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"
_UINT64_MAX: Final = 2**64 - 1
_INT64: Final = range(-(2**63), 2**63)
# The spellings that google/uuid takes: plain, urn, braces, without dashes.
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|\{([0-9a-f-]{36})\}|([0-9a-f]{32})",
    re.IGNORECASE,
)


class BindError(ValueError):
    """The object does not fit; the message names the field, never its value."""


class Body:
    """The fields of one JSON object."""

    def __init__(self, value: object) -> None:
        """Wrap a decoded JSON value; BindError unless it is an object or null."""
        if value is not None and not isinstance(value, dict):
            raise BindError("not an object")
        self._fields: dict[str, Any] = {key.casefold(): item for key, item in (value or {}).items()}

    def raw(self, name: str) -> Any:
        """Return the field as it came, None where absent."""
        return self._fields.get(name)

    def text(self, name: str) -> str:
        """Return a string field, "" where absent."""
        return self._typed(name, str) or ""

    def flag(self, name: str) -> bool:
        """Return a boolean field, False where absent."""
        return self._typed(name, bool) or False

    def integer(self, name: str) -> int:
        """Return an int64 field, 0 where absent."""
        value = self._typed(name, int) or 0
        if isinstance(value, bool) or value not in _INT64:
            raise BindError(f"{name} is not an int64")
        return value

    def unsigned(self, name: str) -> int:
        """Return a uint64 field, 0 where absent."""
        value = self._typed(name, int) or 0
        if isinstance(value, bool) or not 0 <= value <= _UINT64_MAX:
            raise BindError(f"{name} is not a uint64")
        return value

    def object(self, name: str) -> "Self | None":
        """Return an object field, None where absent."""
        value = self._fields.get(name)
        return None if value is None else type(self)(value)

    def objects(self, name: str) -> "list[Self]":
        """Return an array of objects, [] where absent."""
        return [type(self)(item) for item in self._typed(name, list) or []]

    def texts(self, name: str) -> list[str]:
        """Return an array of strings, [] where absent."""
        items = self._typed(name, list) or []
        if not all(isinstance(item, str) for item in items):
            raise BindError(f"{name} holds something else than strings")
        return list(items)

    def uuid(self, name: str) -> str | None:
        """Return a uuid field in its canonical form, None where absent; "" is an error, as in Go."""
        value = self._typed(name, str)
        return None if value is None else parse_uuid(value)

    def _typed(self, name: str, kind: type) -> Any:
        value = self._fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise BindError(f"{name} is not of type {kind.__name__}")
        return value


def parse_uuid(text: str) -> str:
    """Return the canonical form of a uuid; BindError if `text` is none."""
    match = _UUID.fullmatch(text)
    if match is None:
        raise BindError("not a uuid")
    digits = next(group for group in match.groups() if group).replace("-", "").lower()
    if len(digits) != 32:
        raise BindError("not a uuid")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
