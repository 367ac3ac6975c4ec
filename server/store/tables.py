"""What the rooms of the store beside the ledger need of a database, whichever it is."""

from collections.abc import Sequence
from typing import Protocol

from server.store.rows import Parameters, Row


class Tables(Protocol):
    """The named queries of `sql/`, one at a time, each its own transaction. Raises StoreError."""

    async def write(self, key: str, name: str, parameters: Parameters) -> Sequence[Row]:
        """Carry out a query that changes rows; those with the same key keep their order."""

    async def write_soon(self, key: str, name: str, parameters: Parameters) -> Sequence[Row]:
        """Write the few rows that a turn waits for, and no more: see Shortcut."""

    async def read(self, name: str, parameters: Parameters) -> Sequence[Row]:
        """Carry out a query that changes nothing."""
