"""The few rows that every turn waits for are written in the loop itself, where nothing stands in the way."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from server.store.worker import KEEP_LOG, Operation, T, Worker, translated

_DETOUR: Final = 64  # of so many operations two in a row are the worker's


class Shortcut:
    """Does at once what the worker would do in its thread (docs/decisions/0017).

    Where the worker is idle an operation takes less time than to hand it over and to hear of it. Where it is
    not, the operation queues up behind the others: all keep the order of their calls, and share transactions.
    Where another process writes it is the worker's too, for that takes waiting.

    Both share a connection and its cache: a second one's would be outdated by each transaction of the first.
    Only the worker writes the log back. Now and then it gets two operations in a row: behind the first it
    does so, the second begins the log anew.
    """

    def __init__(self, worker: Worker) -> None:
        """Take a worker that writes, and has nothing to do yet; its connection waits for no other process."""
        self._worker = worker
        self._connection = worker.connection
        self._connection.execute(KEEP_LOG)
        self._count = 0

    async def run(self, operation: Operation[T], committed: Callable[[T], None] | None = None) -> T:
        """Return what the operation returns, once it is committed. See Worker.run."""
        self._count += 1
        if self._count % _DETOUR < 2 or not self._worker.idle or not self._begun():
            return await self._worker.run(operation, committed)
        try:
            result = operation(self._connection)
            self._connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # SQLite may have given the transaction up
                self._connection.execute("ROLLBACK")
            raise translated(error) from None
        if committed is not None:
            committed(result)
        return result

    def _begun(self) -> bool:
        """Begin a transaction; False where another process has one, or the database has other troubles."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            return False
        return True
