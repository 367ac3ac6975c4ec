"""Takes what the platform may have left out, or spelled in another way, out of its replies.

Past these functions and the modules of nouns beside them every field has a type.
"""

from typing import Any, Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError

_INT32_MAX: Final = (1 << 31) - 1


def object_in(data: Any, what: str) -> dict[str, Any]:
    """Return the object that the reply must be. Raises UPSTREAM_PROTOCOL naming `what` was asked for."""
    if not isinstance(data, dict):
        raise wrong_shape(what)
    return data


def objects_in(data: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects listed under `key`, or of a bare list; nothing at all is an empty list.

    Raises UPSTREAM_PROTOCOL where there is no list.
    """
    listed = data.get(key, []) if isinstance(data, dict) else data
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise wrong_shape(key)
    return [entry for entry in listed if isinstance(entry, dict)]


def text(source: dict[str, Any], *names: str) -> str:
    """Return the first of the named fields that is a string with something in it, else ""."""
    for name in names:
        value = source.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def flag(source: dict[str, Any], name: str) -> bool:
    """Return True where the field is true; whatever else it is counts as false."""
    return source.get(name) is True


def number(source: dict[str, Any], name: str) -> int:
    """Return a whole number not below 0, else 0 (Go's zero time is far below, upstream-protocol §5.3)."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < 1 << 63 else 0


def small(source: dict[str, Any], name: str) -> int:
    """Return a number as `number` does, at most what an int32 holds."""
    return min(number(source, name), _INT32_MAX)


def wrong_shape(what: str) -> ServiceError:
    """Return the failure of a reply that does not have the shape that its call promises."""
    return ServiceError(
        ErrorReason.ERROR_REASON_UPSTREAM_PROTOCOL, f"the platform's answer has no {what} where it should"
    )
