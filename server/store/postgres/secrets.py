"""Sealed secrets on PostgreSQL: which key seals, and passing from one to the next. See server.store.keyring.

The row of the check value is locked while a secret is sealed, so that none is sealed with a key that
`secrets rotate` is about to drop.
"""

from server.pool.account import Member
from server.store import rows
from server.store.keyring import KeyRing
from server.store.postgres.connections import Connection
from server.store.postgres.statements import Statements
from server.store.rows import Parameters
from server.store.seal import Key


class Secrets:
    """The secrets of a database; each method runs inside its caller's transaction. All raise SealError."""

    def __init__(self, statements: Statements, ring: KeyRing) -> None:
        self._statements = statements
        self._ring = ring

    async def admit(self, connection: Connection) -> None:
        """Prove that the ring opens the database; seal a new one. The caller keeps others away."""
        found = await self._statements.fetch(connection, "check", {})
        check = self._ring.admit(found[0]["value"] if found else None)
        if not found:
            await self._statements.fetch(connection, "put_check", {"value": check})

    async def sealing_key(self, connection: Connection) -> Key:
        """Return the key that seals until this transaction is over."""
        return self._ring.sealing((await self._statements.fetch(connection, "check", {}))[0]["value"])

    async def sealed(self, connection: Connection, member: Member) -> Parameters:
        """Return an account's columns, its secrets sealed; asyncpg takes no bool for an INTEGER."""
        columns = rows.of_member(member, await self.sealing_key(connection))
        return {name: int(value) if isinstance(value, bool) else value for name, value in columns.items()}

    async def reseal(self, connection: Connection, key: Key) -> int:
        """Seal all secrets with another key, which seals from then on; return of how many accounts."""
        await self._statements.fetch(connection, "check_alone", {})
        accounts = await self._statements.fetch(connection, "sealed_accounts", {})
        for row in accounts:
            await self._statements.fetch(connection, "reseal_account", rows.resealed(row, self._ring, key))
        await self._statements.fetch(connection, "put_check", {"value": self._ring.check_of(key)})
        return len(accounts)
