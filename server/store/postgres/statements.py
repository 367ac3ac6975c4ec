"""The named queries as PostgreSQL takes them: `:name` becomes `$n`, `:now` the database's clock."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import asyncpg

from server.store.postgres.connections import Connection
from server.store.queries import load_queries, numbered

_NOW: Final = re.compile(r"(?<![:\w]):now\b")
_CLOCK: Final = "(extract(epoch FROM clock_timestamp()) * 1000000) :: BIGINT"
"""Microseconds. Asked for anew in each row, and again once a row that was waited for is locked."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and the names of its parameters, in order."""

    text: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, query: str) -> Self:
        """Read a query with named parameters."""
        return cls(*numbered(_NOW.sub(f"({_CLOCK})", query.removesuffix(";")), "$"))

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the values in order. PostgreSQL keeps no NUL in a text; one becomes U+FFFD."""
        return [_storable(parameters[name]) for name in self.names]


_TOLD: Final = frozenset({"change_account", "drop_cooldown"})
"""Shared queries that return the account that they changed: here it is told to the other replicas too."""


def statements() -> Mapping[str, Statement]:
    """Return all by name: those that every database shares, and what is PostgreSQL's own."""
    return {
        name: Statement.of(
            f"WITH changed AS (\n{query.removesuffix(';')}\n)\n"
            "SELECT pg_notify('howler', :replica || ',' || account_id) FROM changed;"
            if name in _TOLD
            else query
        )
        for name, query in load_queries("postgres").items()
    }


class Statements:
    """Carries them out. `constants` are parameters that this process gives to any of them."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self._constants = constants
        self._all = statements()

    async def fetch(
        self, connection: Connection, name: str, parameters: Mapping[str, Any]
    ) -> list[asyncpg.Record]:
        """Carry one out and return its rows. Raises what FAILED names."""
        statement = self._all[name]
        arguments = statement.arguments({**self._constants, **parameters})
        found: list[asyncpg.Record] = await connection.fetch(statement.text, *arguments)
        return found


def _storable(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
