"""The few rows that every turn waits for are written in the loop itself, where nothing stands in the way."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Final

from server.store.worker import BATCH, KEEP_LOG, Operation, Order, T, Worker, answer, attempt, commit

_DETOUR: Final = 64  # of so many groups two in a row are the worker's
_EVERY: Final = 0.005  # seconds from one transaction to the next
_AHEAD: Final = 0.02  # seconds that they may be ahead of that: some four at once


class Shortcut:
    """Does at once what the worker would do in its thread (docs/decisions/0017).

    Where the worker is idle an operation takes less time than to hand it over and to hear of it. A lone
    caller's is carried out at once; where there are many they wait a moment for more, and share a transaction
    (group commit). Where the worker is not idle, or another process writes, for that takes waiting, they
    queue up for it. All keep the order of their calls.

    Both share a connection and its cache: a second one's would be outdated by each transaction of the first.
    Only the worker writes the log back. Now and then it gets two groups in a row: behind the first it does
    so, the second begins the log anew.
    """

    def __init__(self, worker: Worker) -> None:
        """Take a worker that writes, and has nothing to do yet; its connection waits for no other process."""
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self._connection = worker.connection
        self._connection.execute(KEEP_LOG)
        self._orders: list[Order] = []
        self._due = 0.0  # when the next transaction is, were they evenly spaced
        self._count = 0

    def run(self, operation: Operation[T], committed: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Have what the operation returns, once it is committed. See Worker.run."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._orders.append(Order(operation, future, committed))
        if len(self._orders) == 1:
            if self._loop.time() >= self._due - _AHEAD:
                self._transact()
            else:
                self._loop.call_at(self._due - _AHEAD, self._transact)
        return future

    def run_in_thread(
        self, operation: Operation[T], committed: Callable[[T], None] | None = None
    ) -> asyncio.Future[T]:
        """Do what may take long, behind what was asked for before. See Worker.run."""
        self.give_up()
        return self._worker.run(operation, committed)

    def give_up(self) -> None:
        """Leave what waits to the worker."""
        self._worker.take(self._orders)
        self._orders = []

    def _transact(self) -> None:
        orders = self._orders
        if not orders:
            return
        self._count += 1
        if (
            self._count % _DETOUR < 2
            or len(orders) > BATCH
            or not self._worker.idle
            or not self._begun()
            or not attempt(self._connection, orders)
        ):
            self.give_up()
        else:
            self._orders = []
            commit(self._connection, orders)
            answer(orders)
        self._due = max(self._due, self._loop.time()) + _EVERY

    def _begun(self) -> bool:
        """Begin a transaction; False where another process has one, or the database has other troubles."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        return True
