"""Ids that nobody can guess. The kernel is asked for many at once: a question costs more than an id."""

import os
from typing import Final

_FETCHED: Final = 128  # ids
_DIGITS: Final = 32  # of an id

_supply: Final[list[str]] = []
os.register_at_fork(after_in_child=_supply.clear)  # or two processes would give out the same


def new_id() -> str:
    """Return 32 hexadecimal digits that were never given out before."""
    if not _supply:
        digits = os.urandom(_FETCHED * _DIGITS // 2).hex()
        _supply.extend(digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS))
    return _supply.pop()
