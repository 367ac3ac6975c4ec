"""Brings a SQLite database to the schema of this version: `migrations/sqlite/NNNN_*.sql`, in order."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from server.store.errors import SchemaError

_FOLDER: Final = Path(__file__).parent / "migrations" / "sqlite"


def migrate(connection: sqlite3.Connection, folder: Path = _FOLDER) -> int:
    """Apply what is missing, all or nothing, and return the schema's version. Others may do so at once.

    Raises SchemaError when the database was made by a newer Howler.
    """
    migrations = {int(path.name[:4]): path for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))}
    newest = max(migrations)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT")
        for number in sorted(migrations.keys() - _applied(connection, newest)):
            for statement in _statements(migrations[number].read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version (version) VALUES (?)", (number,))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return newest


def _applied(connection: sqlite3.Connection, newest: int) -> set[int]:
    applied = {int(row[0]) for row in connection.execute("SELECT version FROM schema_version")}
    version = max(applied, default=0)
    if version > newest:
        raise SchemaError(
            f"the database has schema {version}, this Howler knows {newest}: use the newer Howler, "
            "or another database"
        )
    return applied


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script (executescript would commit before it starts)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
