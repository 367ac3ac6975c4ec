"""Keeps the board a mirror of the ledger: reads the books of what others changed, one reading at a time."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from server.pool.account import AccountId
from server.pool.board import Board
from server.pool.chores import Chores
from server.pool.ledger import Ledger
from server.pool.merge import Merged, Reading
from server.pool.terms import Terms

_log = logging.getLogger(__name__)

_GATHER: Final = 0.005  # seconds between two readings, in which news gathers
_RETRY_PAUSE: Final = 1.0  # seconds after a reading that failed


@dataclass(slots=True)
class _Ask:
    """What is to be read next, and who waits for it; `accounts` None means all."""

    accounts: set[AccountId] | None = field(default_factory=set)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def add(self, accounts: Collection[AccountId] | None) -> None:
        if accounts is None or self.accounts is None:
            self.accounts = None
        else:
            self.accounts.update(accounts)

    @property
    def empty(self) -> bool:
        return self.accounts is not None and not self.accounts


class Mirror:
    """Reads the books. `merged` is called with what every reading brought."""

    def __init__(
        self, board: Board, ledger: Ledger, chores: Chores, terms: Terms, merged: Callable[[Merged], None]
    ) -> None:
        self._board = board
        self._ledger = ledger
        self._chores = chores
        self._terms = terms
        self._merged = merged
        self._ask = _Ask()
        self._reader: asyncio.Task[None] | None = None

    def heard(self, accounts: Collection[AccountId] | None) -> None:
        """Read the books of accounts that another replica changed (None: any), soon."""
        self._ask.add(accounts)
        if self._reader is None and not self._ask.empty:
            self._reader = self._chores.spawn(self._read_all())

    async def refresh(self, accounts: Collection[AccountId] | None = None) -> None:
        """Return once the board shows what the ledger has of these accounts now. Raises StoreError."""
        done = asyncio.get_running_loop().create_future()
        self._ask.waiting.append(done)
        self.heard(accounts)
        await done

    async def _read_all(self) -> None:
        try:
            while not self._ask.empty:
                ask, self._ask = self._ask, _Ask()
                try:
                    await self._read(ask)
                finally:
                    for done in ask.waiting:
                        if not done.done():
                            done.cancel()  # the pool is closing
                await asyncio.sleep(_GATHER)
        finally:
            self._reader = None

    async def _read(self, ask: _Ask) -> None:
        reading = Reading(self._board, self._terms, ask.accounts, self._ledger.replica, time.monotonic())
        try:
            books = await self._ledger.books(ask.accounts)
        except Exception as error:
            reading.give_up()
            self._ask.add(ask.accounts)
            for done in ask.waiting:
                if not done.done():
                    done.set_exception(error)
            _log.warning("pool: the books could not be read: %s", error)
            await asyncio.sleep(_RETRY_PAUSE)
            return
        merged = reading.merge(books, time.monotonic())
        if merged.again:
            self._ask.add(merged.again)
        self._merged(merged)
        for done in ask.waiting:
            if not done.done():
                done.set_result(None)
