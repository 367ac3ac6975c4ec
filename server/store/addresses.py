"""Which replica runs a turn, and where it is reached, in whichever database."""

from collections.abc import Sequence
from typing import NamedTuple

from server.pool.account import TaskId
from server.store.clock import clock_us
from server.store.rows import Parameters, Row
from server.store.tables import Tables


class Owner(NamedTuple):
    """The replica that runs a turn. `address` is empty where nobody can reach it.

    It is not `alive` when its row has lapsed: it is dead, or has stood still for that long.
    """

    replica: str
    address: str
    alive: bool


class Addresses:
    """Where the replicas are. `replica` is this one's name, `ttl` how many seconds a row is good for.

    Every call raises StoreError when the database fails.
    """

    def __init__(self, tables: Tables, replica: str, ttl: float) -> None:
        self.replica = replica
        self.ttl = ttl
        self._tables = tables
        self._ttl_us = int(ttl * 1e6)

    async def renew(self, address: str) -> None:
        """Tell that this replica lives, and where; forget those that do not."""
        mine = _timed({"name": self.replica, "address": address, "ttl_us": self._ttl_us})
        await self._tables.write(self.replica, "renew_replica", mine)
        await self._tables.write("", "forget_replicas", mine)

    async def leave(self) -> None:
        """Tell that this replica has ended."""
        await self._tables.write(self.replica, "leave_replica", {"name": self.replica})

    async def of_turn(self, turn_id: str) -> Owner | None:
        """Return who runs a turn; None for one that runs nowhere.

        One that is not durable is found from its acceptance on, a durable one as soon as it may run.
        """
        return _owner(await self._tables.read("owner_of_turn", _timed({"turn_id": turn_id})))

    async def of_task(self, task_id: TaskId) -> Owner | None:
        """Return who runs a turn on a task; None where none runs."""
        return _owner(await self._tables.read("owner_of_task", _timed({"task_id": task_id})))


def _timed(parameters: Parameters) -> Parameters:
    """Add the clock of SQLite; PostgreSQL looks at its own."""
    return {**parameters, "now": clock_us()}


def _owner(found: Sequence[Row]) -> Owner | None:
    return Owner(found[0]["replica"], found[0]["address"], bool(found[0]["alive"])) if found else None
