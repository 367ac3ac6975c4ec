"""Ids that nobody can guess. The kernel is asked for many at once: a question costs more than an id."""

import os
from typing import Final

_FETCHED: Final = 128  # ids
_BYTES: Final = 16  # of an id


class _Supply:
    """Random ids, each given out once."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        os.register_at_fork(after_in_child=self._ids.clear)  # or two processes would give out the same

    def take(self) -> str:
        if not self._ids:
            digits = os.urandom(_FETCHED * _BYTES).hex()
            self._ids += (digits[at : at + 2 * _BYTES] for at in range(0, len(digits), 2 * _BYTES))
        return self._ids.pop()


_supply: Final = _Supply()


def new_id(prefix: str) -> str:
    """Return `prefix`, an underscore and 32 hexadecimal digits that were never given out before."""
    return f"{prefix}_{_supply.take()}"
