"""Turns and their logs in SQLite; see server/store/turns.py."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from server.store.rows import Parameters, Row
from server.store.sqlite_statements import Statements
from server.store.turns import Span, StoredTurn, TurnChange, of_turn, span_of, turn_of
from server.store.worker import Operation

Write = Callable[[Operation[Any]], Awaitable[Any]]
Read = Callable[[str, Parameters], Awaitable[Sequence[Row]]]


class Turns:
    """Implements TurnStore by the store's writer and reader."""

    def __init__(self, sql: Statements, replica: str, write: Write, read: Read) -> None:
        self._sql = sql
        self._replica = replica
        self._write = write
        self._read = read

    async def begin(self, turn: StoredTurn) -> None:
        """See TurnStore."""
        columns = of_turn(turn, self._replica)
        await self._write(lambda db: self._sql["add_turn"].run(db, columns).rowcount)

    async def write(self, spans: Sequence[tuple[str, Span]], changes: Sequence[TurnChange]) -> frozenset[str]:
        """See TurnStore."""
        add, change, replica = self._sql["add_span"], self._sql["change_turn"], self._replica

        def operation(db: sqlite3.Connection) -> frozenset[str]:
            ours = set()
            for turn_id, span in spans:
                asked = {
                    "turn_id": turn_id,
                    "first_seq": span.first_seq,
                    "count": span.count,
                    "events": span.events,
                    "replica": replica,
                }
                if add.run(db, asked).rowcount:
                    ours.add(turn_id)
            for changed in changes:
                change.run(db, {"replica": replica, **changed._asdict()})
            return frozenset(ours)

        written: frozenset[str] = await self._write(operation)
        return written

    async def read(self, turn_id: str, seq: int, size: int) -> list[Span]:
        """See TurnStore."""
        found = await self._read("read_spans", {"turn_id": turn_id, "seq": seq, "size": size})
        spans = [span_of(row) for row in found]
        return spans if spans and spans[-1].behind > seq else []

    async def get(self, turn_id: str) -> StoredTurn | None:
        """See TurnStore."""
        found = await self._read("get_turn", {"turn_id": turn_id})
        return turn_of(found[0]) if found else None

    async def by_key(self, principal: str, key: str, since_us: int) -> StoredTurn | None:
        """See TurnStore."""
        asked = {"principal": principal, "key": key, "since_us": since_us}
        found = await self._read("turn_by_key", asked)
        return turn_of(found[0]) if found else None

    async def claim(self, turn_id: str, of: str, account_id: str, lease_id: str) -> bool:
        """See TurnStore."""
        asked = {
            "turn_id": turn_id,
            "of": of,
            "account_id": account_id,
            "lease_id": lease_id,
            "replica": self._replica,
        }
        claimed = await self._write(lambda db: self._sql["claim_turn"].run(db, asked).fetchall())
        return bool(claimed)

    async def strays(self) -> dict[str, str]:
        """See TurnStore."""
        found = await self._read("stray_turns", {})
        return {row["turn_id"]: row["replica"] for row in found}

    async def forget(self, turn_ids: Sequence[str]) -> None:
        """See TurnStore."""
        await self._write(lambda db: self._drop(db, list(turn_ids)))

    async def sweep(self, ended_us: int, made_us: int, limit: int) -> int:
        """See TurnStore."""
        which = {"ended_us": ended_us, "made_us": made_us, "limit": limit}

        def operation(db: sqlite3.Connection) -> int:
            old = [row["turn_id"] for row in self._sql["old_turns"].run(db, which)]
            self._drop(db, old)
            return len(old)

        dropped: int = await self._write(operation)
        return dropped

    def _drop(self, db: sqlite3.Connection, turn_ids: list[str]) -> None:
        which = {"turns": json.dumps(turn_ids)}
        for name in ("forget_spans", "forget_turns"):
            self._sql[name].run(db, which)
