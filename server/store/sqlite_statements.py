"""The named queries as SQLite carries them out: by number, for to look up names costs a third of a query."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from server.store.queries import load_queries, numbered
from server.store.rows import Parameters


class Statement:
    """A query that takes its parameters by number."""

    def __init__(self, query: str) -> None:
        """Read a query with named parameters."""
        self.text, names = numbered(query, "?")
        self._pick = _picker(names)

    def run(self, db: sqlite3.Connection, parameters: Parameters) -> sqlite3.Cursor:
        """Carry it out with parameters by name; more may be given than it has. Raises sqlite3.Error."""
        return db.execute(self.text, self._pick(parameters))

    def run_each(self, db: sqlite3.Connection, parameters: Iterable[Parameters]) -> None:
        """Carry it out with each of these in turn. Raises sqlite3.Error."""
        db.executemany(self.text, map(self._pick, parameters))


Statements = Mapping[str, Statement]


def statements() -> Statements:
    """Return all by name: those that every database shares, and what is SQLite's own."""
    return {name: Statement(query) for name, query in load_queries("sqlite").items()}


def _picker(names: tuple[str, ...]) -> Callable[[Parameters], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda parameters: tuple(parameters[name] for name in names)
