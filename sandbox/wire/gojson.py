"""JSON as Go's encoding/json reads and writes it, where Python's differs.

Written: no blanks, UTF-8 as is, `<`, `>`, `&` and the two line separators escaped.
Read: NaN and Infinity refused, bytes and escapes that are no Unicode become U+FFFD.
"""

import json
from typing import Any, Final, NoReturn

_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def dumps(value: object) -> str:
    """Return `value` as the platform writes it."""
    # The escaped characters can only stand inside strings, so translating the text is safe.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)


def loads(source: bytes | str) -> Any:
    """Return the value of a JSON text; ValueError if it is none."""
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _scrub(value) if "\\ud" in text.lower() else value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _scrub(value: Any) -> Any:
    """Replace the lone surrogates that an escape may leave behind."""
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_scrub(item) for item in value]
        case dict():
            return {_scrub(key): _scrub(item) for key, item in value.items()}
        case _:
            return value
