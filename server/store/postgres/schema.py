"""Brings a PostgreSQL database to the schema of this version: `migrations/postgres/NNNN_*.sql`, in order."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from server.store.errors import SchemaError
from server.store.postgres.connections import Connection

_FOLDER: Final = Path(__file__).parents[1] / "migrations" / "postgres"
_LOCK: Final = 0x686F776C6572  # "howler"; advisory locks are a database's own


def migrations(folder: Path = _FOLDER) -> dict[int, str]:
    """Return the scripts by the version that each makes."""
    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return {int(path.name[:4]): path.read_text(encoding="utf-8") for path in paths}


async def alone(connection: Connection) -> None:
    """Keep other replicas from opening the database until the transaction is over."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


async def migrate(connection: Connection, scripts: Mapping[int, str]) -> int:
    """Apply what is missing and return the schema's version; the caller has a transaction, alone.

    Raises SchemaError when the database was made by a newer Howler.
    """
    newest = max(scripts)
    await connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    applied = {row["version"] for row in await connection.fetch("SELECT version FROM schema_version")}
    version = max(applied, default=0)
    if version > newest:
        raise SchemaError(
            f"the database has schema {version}, this Howler knows {newest}: use the newer Howler, "
            "or another database"
        )
    for number in sorted(scripts.keys() - applied):
        await connection.execute(scripts[number])
        await connection.execute("INSERT INTO schema_version (version) VALUES ($1)", number)
    return newest
