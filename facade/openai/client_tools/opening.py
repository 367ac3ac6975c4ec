"""Recognises the opening tag of an envelope, whole or as far as it was said."""

import re
from typing import Final

_START: Final = re.compile(r"[<`]")
_TAG: Final = "<tool_call"
_FENCE: Final = ["`", "`", "`", r"[\w-]{0,16}", r"[ \t]{0,8}", "\n", r"\s{0,8}"]
"""Some models put the envelope into a code fence; it goes with the tag."""


class Opening:
    """The opening tag with the nonce of this answer: no other opens anything."""

    def __init__(self, nonce: str) -> None:
        attribute = [r"\s{1,8}", *"nonce", r"\s{0,8}", "=", r"\s{0,8}", "[\"']?", *nonce, "[\"']?"]
        tag = [*_TAG, *attribute, r"\s{0,8}", ">"]
        forms = (tag, [*_FENCE, *tag])
        self._whole = [re.compile("".join(atoms)) for atoms in forms]
        self._begun = [re.compile(_prefixes(atoms)) for atoms in forms]

    def search(self, text: str, start: int = 0) -> tuple[int, int]:
        """Return where the first tag begins and where it ends.

        Its end is 0 where the text ends inside it; the beginning is the end of
        the text where there is none.
        """
        for candidate in _START.finditer(text, start):
            at = candidate.start()
            if end := self.whole_at(text, at):
                return at, end
            if any(begun.match(text, at) for begun in self._begun):
                return at, 0
        return len(text), 0

    def whole_at(self, text: str, at: int) -> int:
        """Return where the tag that begins at a place ends; 0 where none does."""
        return next((found.end() for whole in self._whole if (found := whole.match(text, at))), 0)

    def inside(self, text: str, start: int) -> int:
        """Return where a whole tag begins at `start` or behind it; 0 where none does."""
        places = (found.start() for found in _START.finditer(text, start))
        return next((at for at in places if self.whole_at(text, at)), 0)


def _prefixes(atoms: list[str]) -> str:
    """Return the pattern of all that the atoms can begin with, up to the end of the text."""
    pattern = ""
    for atom in reversed(atoms):
        pattern = f"{atom}(?:\\Z|{pattern})" if pattern else f"{atom}\\Z"
    return pattern
