"""Reads JSON as models write it when they do not write JSON.

Taken beside the real thing: single quotes, `True`, `False`, `None`, names
without quotes, trailing commas, line breaks and quotes inside strings that are
not escaped, unknown escapes, several values in a row, brackets at the end that
are missing or too many. No value is invented: what ends inside one is none.
"""

import re
from collections.abc import Sized
from typing import Final, Never

_MOST_DEPTH: Final = 64
_SPACE: Final = re.compile(r"\s*")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NAME: Final = re.compile(r"[A-Za-z_$][\w$-]*")
_WORDS: Final[dict[str, object]] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SAME: Final = "\"'\\/"
_HEX: Final = re.compile(r"[0-9a-fA-F]{4}")
_CLOSERS: Final = re.compile(r"[\s}\]]*")
_AFTER_STRING: Final = re.compile(r"\s*(?:[,:}\]]|\Z)")
_MOST_DIGITS: Final = 300  # Python refuses to make numbers of thousands


class LooseError(ValueError):
    """The text is not JSON, however loosely read."""


def loose_values(text: str) -> list[object]:
    """Return the values that the text is made of, at least one; raises LooseError."""
    reader = _Reader(text)
    values = [reader.value(0)]
    while reader.more():
        values.append(reader.value(0))
    return values


class _Reader:
    """A place in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def more(self) -> bool:
        """Pass over what separates values; say whether there is another."""
        self._skip()
        while self._peek() in (",", ";"):
            self._at += 1
            self._skip()
        return _CLOSERS.fullmatch(self._text, self._at) is None

    def value(self, depth: int) -> object:
        """Read one value."""
        if depth > _MOST_DEPTH:
            self._fail()
        self._skip()
        match self._peek():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"' | "'":
                return self._string()
            case _:
                return self._scalar()

    def _object(self, depth: int) -> dict[str, object]:
        fields: dict[str, object] = {}
        self._at += 1
        while not self._closes("}", fields):
            key = self._key()
            self._skip()
            self._expect(":")
            fields[key] = self.value(depth + 1)
            self._separated("}")
        return fields

    def _array(self, depth: int) -> list[object]:
        items: list[object] = []
        self._at += 1
        while not self._closes("]", items):
            items.append(self.value(depth + 1))
            self._separated("]")
        return items

    def _key(self) -> str:
        if self._peek() in ('"', "'"):
            return self._string()
        name = _NAME.match(self._text, self._at)
        if name is None:
            self._fail()
        self._at = name.end()
        return name[0]

    def _scalar(self) -> object:
        if word := _NAME.match(self._text, self._at):
            if word[0] not in _WORDS:
                self._fail()
            self._at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self._text, self._at)
        if number is None or len(number[0]) > _MOST_DIGITS:
            self._fail()
        self._at = number.end()
        return float(number[0]) if set(number[0]) & set(".eE") else int(number[0])

    def _string(self) -> str:
        text, quote = self._text, self._text[self._at]
        self._at += 1
        out: list[str] = []
        while not (self._peek() == quote and _AFTER_STRING.match(text, self._at + 1)):
            char = self._peek() or self._fail()
            self._at += 1
            out.append(self._escape() if char == "\\" else char)
        self._at += 1
        return "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _escape(self) -> str:
        char = self._peek()
        self._at += 1
        if char == "u" and (code := _HEX.match(self._text, self._at)):
            self._at = code.end()
            return chr(int(code[0], 16))
        if char in _ESCAPES:
            return _ESCAPES[char]
        return char if char in _SAME else f"\\{char}"

    def _separated(self, closing: str) -> None:
        self._skip()
        if self._peek() == ",":
            self._at += 1
        elif self._peek() not in (closing, ""):
            self._fail()

    def _closes(self, closing: str, so_far: Sized) -> bool:
        self._skip()
        if self._peek() == closing:
            self._at += 1
            return True
        return not self._peek() and len(so_far) > 0

    def _expect(self, char: str) -> None:
        if self._peek() != char:
            self._fail()
        self._at += 1

    def _skip(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _fail(self) -> Never:
        raise LooseError(f"not JSON at character {self._at + 1}")
