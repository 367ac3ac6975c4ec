"""Pages of what a service lists, the same for every service: how long one is, and the token of the next."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from server.rpc.checks import invalid
from server.store.pages import Cursor

_SIZE: Final = 100
_MAX_SIZE: Final = 1000
T = TypeVar("T")


def page_size(asked: int) -> int:
    """Return how many things a page holds; 0 asks for the default. Raises INVALID_REQUEST."""
    if asked < 0:
        raise invalid("page_size must not be negative")
    return min(asked or _SIZE, _MAX_SIZE)


def cursor_of(token: str, rpc: str) -> Cursor | None:
    """Return where the page before ended, None for the first page.

    Raises INVALID_REQUEST for a token that `rpc` did not give.
    """
    if not token:
        return None
    used, _, name = token.partition(".")
    if not (used.isascii() and used.isdecimal() and len(used) < 19 and name):
        raise invalid(f"page_token is none that {rpc} gave")
    return Cursor(int(used), name)


def cut(found: Sequence[T], size: int, behind: Callable[[T], Cursor]) -> tuple[Sequence[T], str]:
    """Return a page of what was found, and the token of the next, "" where no more than that was found."""
    page = found[:size]
    return page, "{}.{}".format(*behind(page[-1])) if len(found) > size else ""
