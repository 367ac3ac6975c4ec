"""What `accounts import` is given: a cookie, or a list, from an argument, a file or stdin."""

import getpass
import sys
from pathlib import Path
from typing import Final

from server.commands.orders import Import
from server.errors import ServiceError
from server.pool.account import USER_COOKIE, Credentials
from server.pool.accounts_file import AccountsListError, parse_accounts

Entry = Credentials | ServiceError
"""An account to import, or why it cannot be one."""

STDIN: Final = "-"
_INPUT_BYTES: Final = 8 << 20


class InputError(Exception):
    """What was given cannot be read; the message is one line, and repeats nothing of it."""


def read_entries(order: Import) -> list[Entry]:
    """Return what is to be imported, checked, in its order. Raises InputError."""
    if order.file and order.file != STDIN:
        try:
            return _listed(Path(order.file).read_bytes(), f"--file {order.file}")
        except OSError as error:
            raise InputError(f"--file {order.file} cannot be read: {error.strerror}") from None
    if order.file:
        return _listed(_stdin(), "stdin")
    if order.stdin:
        given = _stdin().strip()
        return _listed(given, "stdin") if given.startswith(b"[") else [_single(_text(given), order)]
    if order.cookie == STDIN:
        if sys.stdin.isatty():
            return [_single(getpass.getpass(f"{USER_COOKIE}: "), order)]
        return [_single(_text(_stdin()), order)]
    return [_single(order.cookie, order)]


def _listed(content: bytes, where: str) -> list[Entry]:
    try:
        return [*parse_accounts(content)]
    except AccountsListError as error:
        raise InputError(f"{where} {error}") from None


def _single(cookie: str, order: Import) -> Entry:
    try:
        return Credentials(cookie=cookie, slots=order.slots).checked()
    except ServiceError as error:
        return error


def _stdin() -> bytes:
    given = sys.stdin.buffer.read(_INPUT_BYTES + 1)
    if len(given) > _INPUT_BYTES:
        raise InputError(f"stdin holds more than {_INPUT_BYTES >> 20} MiB")
    return given


def _text(given: bytes) -> str:
    try:
        return given.decode().strip()
    except UnicodeDecodeError:
        raise InputError("stdin is no text") from None
