"""Opens a SQLite file so that it is private, and set up as the store needs it."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from server.store.errors import DatabaseUrlError, StoreError

_BUSY_MS: Final = 5000
_PAUSE: Final = 0.02  # seconds between two tries of what SQLite itself does not wait for
_PRAGMAS: Final[dict[str, str | int]] = {
    "busy_timeout": _BUSY_MS,  # first: the next one may meet another process
    "journal_mode": "wal",
    "synchronous": 1,  # NORMAL: with WAL a crash of the process loses nothing
    "foreign_keys": 1,
    "secure_delete": 1,  # a cookie that was replaced does not linger in free pages
}


def sqlite_path(url: str) -> Path:
    """Return the file that a `sqlite:///path` names: relative with three slashes, absolute with four.

    Raises DatabaseUrlError.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or not path:
        raise DatabaseUrlError(
            "HOWLER_DATABASE_URL: must have the form sqlite:///path or postgresql://user:password@host/database"
        )
    return Path(path)


def prepare(path: Path) -> None:
    """Make the file and its folder, private, where they are not there. Raises StoreError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}") from error


def connect(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode whose PRAGMAs were read back; threads share a `shared` one.

    Raises StoreError when the file is no database or a PRAGMA does not hold.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=not shared)
    connection.row_factory = sqlite3.Row
    try:
        for name, wanted in _PRAGMAS.items():
            _set_soon(connection, name, wanted)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"the database {path} cannot be used: {error}") from error
        raise
    return connection


def hurry(connection: sqlite3.Connection) -> None:
    """Let the connection wait for no other process any more. Raises StoreError."""
    _set(connection, "busy_timeout", 0)


def _set_soon(connection: sqlite3.Connection, pragma: str, wanted: str | int) -> None:
    """Set a PRAGMA once no other process is in the way; SQLite waits for none to change the journal mode."""
    until = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            return _set(connection, pragma, wanted)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(_PAUSE)


def _set(connection: sqlite3.Connection, pragma: str, wanted: str | int) -> None:
    connection.execute(f"PRAGMA {pragma} = {wanted}")
    actual = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    if actual != wanted:
        raise StoreError(f"the database cannot be used: PRAGMA {pragma} is {actual}, not {wanted}")
