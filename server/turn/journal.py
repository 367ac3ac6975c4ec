"""Writes the logs of all turns of this process to the store, and reads them back.

One write is in flight at a time; what comes meanwhile, of whichever turn, forms the next (group commit).
A log is told what was written of it once the write has returned.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Self

from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import StreamResponse

from server.errors import incident
from server.store.errors import StoreError
from server.store.turns import Span, StoredTurn, TurnChange, TurnStore
from server.turn.log import TurnLog

_log = logging.getLogger(__name__)

READ_BYTES: Final = 64 << 10
"""What a watcher is given at once of what only the store has."""

_PAUSES: Final = (0.1, 2.0)  # seconds before a write that failed is tried again; at most
_FLUSH: Final = 5.0  # seconds that the last writes may take when the process ends


class Journal:
    """Implements Keeper. Use as a context manager: what is noted is written before it ends.

    While the store fails, what is to be written waits in memory: no longer than the turn's lease lasts, for
    that cannot be renewed either.
    """

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._noted: dict[TurnLog, None] = {}
        self._changes: list[TurnChange] = []
        self._dropped: list[str] = []
        self._fleeting: set[str] = set()  # turns that are not durable and have a record for what is spilled
        self._stirred = asyncio.Event()
        self._wrote = asyncio.Event()  # another one for each write
        self._idle = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_on(), name="journal")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is left, where the store lets us."""
        assert self._writer is not None
        self._idle.clear()
        self._stirred.set()
        try:
            async with asyncio.timeout(_FLUSH):
                await self._idle.wait()
        except TimeoutError:
            _log.error("the newest events of %d turns could not be written", len(self._noted))
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def begin(self, turn: StoredTurn) -> None:
        """Record a durable turn that is about to run. Raises StoreError."""
        await self._store.begin(turn)

    def note(self, log: TurnLog) -> None:
        """See Keeper."""
        self._noted[log] = None
        self._stirred.set()

    def change(self, change: TurnChange) -> None:
        """Record what became of a durable turn, in the write of the events that tell it: note those next."""
        self._changes.append(change)

    def drop(self, turn_ids: Sequence[str]) -> None:
        """Forget turns and what was written of them."""
        self._fleeting.difference_update(turn_ids)
        self._dropped += turn_ids
        self._stirred.set()

    async def caught_up(self, log: TurnLog) -> None:
        """Return once the store has all that it must have of a log."""
        while log.owed:
            await self._wrote.wait()

    async def read(self, turn_id: str, seq: int) -> list[Span]:
        """See Keeper."""
        return await self._store.read(turn_id, seq, READ_BYTES)

    async def events(self, turn_id: str) -> AsyncGenerator[list[TaskEvent], None]:
        """Yield what was written of a turn, in batches. Raises StoreError."""
        seq = 1
        while spans := await self.read(turn_id, seq):
            yield [event for span in spans for event in StreamResponse.FromString(span.events).events]
            seq = spans[-1].behind

    async def _write_on(self) -> None:
        pause = _PAUSES[0]
        while True:
            self._stirred.clear()
            if not (self._noted or self._changes or self._dropped):
                self._idle.set()
                await self._stirred.wait()
                continue
            logs, changes, dropped = list(self._noted), self._changes, self._dropped
            self._noted, self._changes, self._dropped = {}, [], []
            try:
                await self._write(logs, changes, dropped)
                pause = _PAUSES[0]
                self._wrote.set()
                self._wrote = asyncio.Event()
            except Exception as error:  # a bug in one turn's, too, must not end the others'
                told = error if isinstance(error, StoreError) else incident(error, "journal")
                _log.warning("the logs of %d turns could not be written yet: %s", len(logs), told)
                self._noted = dict.fromkeys([*logs, *self._noted])
                self._changes[:0], self._dropped[:0] = changes, dropped
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSES[1])

    async def _write(self, logs: list[TurnLog], changes: list[TurnChange], dropped: list[str]) -> None:
        behind: dict[TurnLog, int] = {}
        spans: list[tuple[str, Span]] = []
        for log in logs:
            if of_log := log.to_write():
                behind[log] = of_log[-1].behind
                spans += [(log.turn_id, span) for span in of_log]
        for log in behind:
            if not (log.durable or log.turn_id in self._fleeting):
                await self._store.begin(_fleeting(log.turn_id))
                self._fleeting.add(log.turn_id)
        if spans or changes:
            ours = await self._store.write(spans, changes)
            for log, seq in behind.items():
                if log.turn_id in ours:
                    log.written(seq)
                else:
                    log.refused()
        if dropped:
            await self._store.forget(dropped)


def _fleeting(turn_id: str) -> StoredTurn:
    """Return what is recorded of a turn that nobody shall find: whose spans they are."""
    now_us = time.time_ns() // 1000
    return StoredTurn(turn_id, StartTurn(), account_id="", lease_id="", create_us=now_us, durable=False)
