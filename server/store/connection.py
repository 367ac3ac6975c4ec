"""Opens a SQLite file so that it is private, and set up as the store needs it."""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from server.store.errors import DatabaseUrlError, StoreError

_BUSY_MS: Final = 5000
_PRAGMAS: Final[dict[str, str | int]] = {
    "journal_mode": "wal",
    "busy_timeout": _BUSY_MS,
    "synchronous": 1,  # NORMAL: with WAL a crash of the process loses nothing
    "foreign_keys": 1,
    "secure_delete": 1,  # a cookie that was replaced does not linger in free pages
}


def sqlite_path(url: str) -> Path:
    """Return the file that a `sqlite:///path` names: relative with three slashes, absolute with four.

    Raises DatabaseUrlError.
    """
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres"):
        raise DatabaseUrlError("HOWLER_DATABASE_URL: PostgreSQL is not supported yet; use sqlite:///path")
    path = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or not path:
        raise DatabaseUrlError("HOWLER_DATABASE_URL: must have the form sqlite:///path")
    return Path(path)


def claim(path: Path) -> IO[bytes]:
    """Make the file, private, and claim it for this process; closing the result gives the claim up.

    The claim is on a file beside it: closing any descriptor of a database drops SQLite's own locks on it.
    Raises StoreError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        lock = os.fdopen(os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    except OSError as error:
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreError(f"the database {path} is in use by another Howler server") from error
    return lock


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection in autocommit mode whose PRAGMAs were read back.

    Raises StoreError when the file is no database or a PRAGMA does not hold.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        for name, wanted in _PRAGMAS.items():
            _set(connection, name, wanted)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"the database {path} cannot be used: {error}") from error
        raise
    return connection


def _set(connection: sqlite3.Connection, pragma: str, wanted: str | int) -> None:
    connection.execute(f"PRAGMA {pragma} = {wanted}")
    actual = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    if actual != wanted:
        raise StoreError(f"the database cannot be used: PRAGMA {pragma} is {actual}, not {wanted}")
