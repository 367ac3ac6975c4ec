"""The named queries as SQLite carries them out: by number, for to look up names costs a third of a query."""

import sqlite3
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

from server.store.queries import load_queries, numbered
from server.store.rows import Parameters


class Statement:
    """A query that takes its parameters by number."""

    def __init__(self, query: str) -> None:
        """Read a query with named parameters."""
        self.text, names = numbered(query, "?")
        self.values: Final = _picker(names)
        """Returns the values of parameters by number, of such by name; more may be given than it has."""

    def run(self, db: sqlite3.Connection, parameters: Parameters) -> sqlite3.Cursor:
        """Carry it out with parameters by name. Raises sqlite3.Error."""
        return db.execute(self.text, self.values(parameters))


Statements = Mapping[str, Statement]


def statements() -> Statements:
    """Return all by name: those that every database shares, and what is SQLite's own."""
    return {name: Statement(query) for name, query in load_queries("sqlite").items()}


def _picker(names: tuple[str, ...]) -> Callable[[Parameters], tuple[Any, ...]]:
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda parameters: (parameters[name],)
        case _:
            return itemgetter(*names)
