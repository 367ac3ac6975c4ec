"""Turns and their logs in PostgreSQL; see server/store/turns.py."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from server.store.postgres.connections import Connection, Connections
from server.store.postgres.statements import Statements
from server.store.rows import Parameters
from server.store.turns import Span, StoredTurn, TurnChange, of_turn, span_of, turn_of


class Turns:
    """Implements TurnStore. All may be sent twice without harm."""

    def __init__(self, connections: Connections, statements: Statements, replica: str) -> None:
        self._connections = connections
        self._fetch = statements.fetch
        self._replica = replica

    async def _run(self, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        return await self._connections.run(work, again=True)

    async def _do(self, name: str, parameters: Parameters) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._run(
            lambda connection: self._fetch(connection, name, parameters)
        )
        return found

    async def begin(self, turn: StoredTurn) -> None:
        """See TurnStore."""
        await self._do("add_turn", of_turn(turn, self._replica))

    async def write(self, spans: Sequence[tuple[str, Span]], changes: Sequence[TurnChange]) -> frozenset[str]:
        """See TurnStore."""
        added: Parameters = {
            "turn_ids": [turn_id for turn_id, _ in spans],
            "first_seqs": [span.first_seq for _, span in spans],
            "counts": [span.count for _, span in spans],
            "events": [span.events for _, span in spans],
        }
        changed: Parameters = {
            "turn_ids": [change.turn_id for change in changes],
            "task_ids": [change.task_id for change in changes],
            "models": [change.model for change in changes],
            "ends_us": [change.end_us for change in changes],
            "end_reasons": [change.end_reason for change in changes],
        }

        async def work(connection: Connection) -> list[asyncpg.Record]:
            if not changes:
                return await self._fetch(connection, "add_spans", added)
            async with connection.transaction():
                ours = await self._fetch(connection, "add_spans", added) if spans else []
                await self._fetch(connection, "change_turns", changed)
                return ours

        return frozenset(row["turn_id"] for row in await self._run(work))

    async def read(self, turn_id: str, seq: int, size: int) -> list[Span]:
        """See TurnStore."""
        found = await self._do("read_spans", {"turn_id": turn_id, "seq": seq, "size": size})
        spans = [span_of(row) for row in found]
        return spans if spans and spans[-1].behind > seq else []

    async def get(self, turn_id: str) -> StoredTurn | None:
        """See TurnStore."""
        found = await self._do("get_turn", {"turn_id": turn_id})
        return turn_of(found[0]) if found else None

    async def by_key(self, principal: str, key: str, since_us: int) -> StoredTurn | None:
        """See TurnStore."""
        asked: Parameters = {"principal": principal, "key": key, "since_us": since_us}
        found = await self._do("turn_by_key", asked)
        return turn_of(found[0]) if found else None

    async def claim(self, turn_id: str, of: str, account_id: str, lease_id: str) -> bool:
        """See TurnStore."""
        asked: Parameters = {"turn_id": turn_id, "of": of, "account_id": account_id, "lease_id": lease_id}
        if await self._do("claim_turn", asked):
            return True
        found = await self.get(turn_id)  # a first try may have been carried out
        return found is not None and (found.replica, found.lease_id) == (self._replica, lease_id)

    async def strays(self) -> dict[str, str]:
        """See TurnStore."""
        return {row["turn_id"]: row["replica"] for row in await self._do("stray_turns", {})}

    async def forget(self, turn_ids: Sequence[str]) -> None:
        """See TurnStore."""
        await self._do("forget_turns", {"turns": list(turn_ids)})

    async def sweep(self, ended_us: int, made_us: int, limit: int) -> int:
        """See TurnStore."""
        which = {"ended_us": ended_us, "made_us": made_us, "limit": limit}
        return len(await self._do("sweep_turns", which))
