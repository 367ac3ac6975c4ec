"""One thread that owns one SQLite connection and does what the event loop asks of it."""

import asyncio
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from server.store.errors import StoreError

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

BATCH: Final = 64  # operations in a transaction, at most: what a caller may have to wait for
_BUSY_SECONDS: Final = 5.0  # for another process's transactions
_BUSY_PAUSE: Final = (
    0.002  # seconds, at most: SQLite's own pauses grow to 100 ms, and whoever is in one is passed by
)
_LOG_PAGES: Final = 4000  # of the log are written back together: what was changed often meanwhile only once
KEEP_LOG: Final = "PRAGMA wal_autocheckpoint = 0"
"""Has a connection write no log back into the database, for that waits for the disk."""
_COMMIT: Final = (f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}", "COMMIT", KEEP_LOG)


@dataclass(slots=True)
class Order:
    """An operation, and where its outcome goes."""

    operation: Operation[Any]
    future: asyncio.Future[Any]
    committed: Callable[[Any], None] | None
    result: Any = None
    error: BaseException | None = None


class Worker:
    """Runs operations in the order of their calls.

    Those that queue up while a transaction runs share the next one (group commit). Where one of them fails
    all are carried out anew, each in a savepoint: it undoes itself and no other. So an operation changes the
    database and nothing else. One whose caller is cancelled is carried out all the same. A worker that
    `writes` also writes the log back into the database.
    """

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection], *, writes: bool) -> None:
        """`connect` opens the connection, in the thread."""
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._commit = _COMMIT if writes else ("COMMIT",)
        self._connect = connect
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._unanswered = 0

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, once it is open: whoever else uses it does so while the worker is idle."""
        assert self._connection is not None
        return self._connection

    @property
    def idle(self) -> bool:
        """It has nothing to do, and may be asked."""
        return not self._unanswered and not self._closed

    async def open(self) -> None:
        """Start the thread and its connection. Raises what connecting raises."""
        self._thread.start()
        await self._opened

    async def close(self) -> None:
        """Do what is queued, then end the thread."""
        if self._closed:
            return
        self._closed = True
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def run(self, operation: Operation[T], committed: Callable[[T], None] | None = None) -> asyncio.Future[T]:
        """Have what the operation returns, once it is committed, or StoreError.

        `committed` is told the same in the loop, even when the caller is cancelled meanwhile.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self.take([Order(operation, future, committed)])
        return future

    def take(self, orders: Sequence[Order]) -> None:
        """Carry orders out, in turn and behind all that were taken before."""
        if self._closed:
            for order in orders:
                order.error = StoreError("the store is closed")
            answer(orders)
            return
        self._unanswered += len(orders)
        for order in orders:
            self._orders.put(order)

    def _work(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            self._loop.call_soon_threadsafe(_fail, self._opened, error)
            return
        self._connection = connection
        self._loop.call_soon_threadsafe(_succeed, self._opened)
        try:
            while (first := self._orders.get()) is not None:
                batch, last = [first], False
                while len(batch) < BATCH and not last:
                    try:
                        order = self._orders.get_nowait()
                    except queue.Empty:
                        break
                    if order is None:
                        last = True
                    else:
                        batch.append(order)
                self._transact(connection, batch)
                with suppress(RuntimeError):  # the loop is gone, and with it everybody who waits
                    self._loop.call_soon_threadsafe(self._deliver, batch)
                if last:
                    break
        finally:
            connection.close()

    def _transact(self, connection: sqlite3.Connection, batch: list[Order]) -> None:
        try:
            self._open(connection)
            if not attempt(connection, batch):
                self._open(connection)
                for order in batch:
                    _attempt_alone(connection, order)
        except sqlite3.Error as error:
            _lose(connection, batch, error)
        else:
            commit(connection, batch, self._commit)

    def _open(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction; another process may have one."""
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                connection.execute(self._begin)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0, _BUSY_PAUSE))  # noqa: S311 -- so that two do not meet again
            else:
                return

    def _deliver(self, batch: list[Order]) -> None:
        self._unanswered -= len(batch)
        answer(batch)


def answer(orders: Sequence[Order]) -> None:
    """Tell those who wait what became of their operations."""
    for order in orders:
        if order.error is None and order.committed is not None:
            try:
                order.committed(order.result)
            except Exception as error:  # a bug of one caller is not the others' business
                order.error = error
        if order.future.done():
            continue  # its caller left
        if order.error is not None:
            order.future.set_exception(order.error)
        else:
            order.future.set_result(order.result)


def commit(
    connection: sqlite3.Connection, orders: Sequence[Order], statements: Sequence[str] = ("COMMIT",)
) -> None:
    """Commit what was carried out, or tell it of their failure."""
    try:
        for statement in statements:
            connection.execute(statement)
    except sqlite3.Error as error:
        _lose(connection, orders, error)


def _lose(connection: sqlite3.Connection, orders: Sequence[Order], error: sqlite3.Error) -> None:
    """Give a transaction up."""
    for order in orders:
        order.error = translated(error)
    _roll_back(connection)


def attempt(connection: sqlite3.Connection, batch: Sequence[Order]) -> bool:
    """Carry out all operations; False where one failed, and nothing was done."""
    try:
        for order in batch:
            order.result = order.operation(connection)
    except Exception:
        _roll_back(connection)
        return False
    return True


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # SQLite gives one up by itself, as for a full disk
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _attempt_alone(connection: sqlite3.Connection, order: Order) -> None:
    """Carry out one operation. Raises sqlite3.Error only where the whole transaction is lost."""
    connection.execute("SAVEPOINT operation")
    try:
        order.result = order.operation(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO operation")
        order.error = translated(error)
    connection.execute("RELEASE operation")


def translated(error: BaseException) -> BaseException:
    """Return a failure of the database as the store's own, any other as it is."""
    return StoreError(f"the database refused: {error}") if isinstance(error, sqlite3.Error) else error


def _succeed(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
