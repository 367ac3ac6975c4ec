"""Takes what is needed out of values whose shape nobody promised.

PURE. The only place that may not trust what it gets; past it every field has a type.
"""

from typing import Any

import msgspec

from server.acp.frames import Metered

_MAX_INT64 = (1 << 63) - 1


def text_of(value: Any) -> str:
    """Return the value as text: a string as it is, nothing as "", anything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return msgspec.json.encode(value).decode()


def count(value: Any) -> int | None:
    """Return a count that fits an int64, or None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= _MAX_INT64:  # NaN fails this too
        return None
    return int(value)


def items(value: Any) -> list[Any]:
    """Return the list, or an empty one where there is none."""
    return value if isinstance(value, list) else []


def fields(value: Any) -> dict[str, Any]:
    """Return the object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def first(value: dict[str, Any], *names: str) -> Any:
    """Return the first of the named fields that is there and not null."""
    for name in names:
        found = value.get(name)
        if found is not None:
            return found
    return None


def metered(value: dict[str, Any], at: int = 0) -> Metered:
    """Read tokens and context occupancy, which stand apart (§7.5, §10)."""
    return Metered(
        context_used=count(value.get("used")),
        context_size=count(value.get("size")),
        input_tokens=count(first(value, "input_tokens", "inputTokens")),
        output_tokens=count(first(value, "output_tokens", "outputTokens")),
        total_tokens=count(first(value, "total_tokens", "totalTokens")),
        at=at,
    )
