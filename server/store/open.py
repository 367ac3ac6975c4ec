"""Picks the store that a database's URL names."""

from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from server.store.connection import sqlite_path
from server.store.errors import DatabaseUrlError
from server.store.keyring import KeyRing
from server.store.postgres.address import SCHEMES
from server.store.postgres.store import PostgresStore
from server.store.sqlite import Store as SqliteStore

AnyStore: TypeAlias = SqliteStore | PostgresStore
"""A store of either kind: tests/store/test_contract_*.py hold both to the same contract."""

_KEY_FILE: Final = Path("var/howler.key")


def store_at(url: str, ring: KeyRing, default_slots: int = 1, reclaim: float = 10.0) -> AnyStore:
    """Return the store, not opened yet. `reclaim` is how many seconds a lapsed lease keeps its slot.

    Raises DatabaseUrlError.
    """
    if _scheme(url) in SCHEMES:
        return PostgresStore(url, ring, default_slots, reclaim)
    return SqliteStore(url, ring, default_slots, reclaim)


def key_file_of(url: str) -> Path:
    """Return where the key is kept that seals secrets, where nothing else is said: beside a SQLite file.

    Raises DatabaseUrlError.
    """
    return _KEY_FILE if _scheme(url) in SCHEMES else sqlite_path(url).with_suffix(".key")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # as for half an IPv6 address
        raise DatabaseUrlError(
            "HOWLER_DATABASE_URL: must have the form sqlite:///path or postgresql://user:password@host/database"
        ) from None
