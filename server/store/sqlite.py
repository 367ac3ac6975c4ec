"""The store on SQLite: one server process, one writer thread, one reader thread."""

import sqlite3
from collections.abc import Mapping
from typing import IO, Final, NamedTuple, Self

from howler.pool.v1.pool_service_pb2 import Cooldown, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Books
from server.store import rows
from server.store.connection import claim, connect, sqlite_path
from server.store.queries import load_queries
from server.store.rows import Parameters
from server.store.schema import migrate
from server.store.worker import Operation, T, Worker

LEASE_MEMORY_US: Final = 3600 * 1_000_000
"""How long an ended lease is remembered, so that its holder hears that it is lost."""

_SWEEP: Final = 1024  # leases between two sweeps of ended ones


class TaskCursor(NamedTuple):
    """Where a page of tasks ended."""

    last_used_us: int
    task_id: str

    @classmethod
    def behind(cls, task: Task) -> Self:
        """Return the cursor behind a task."""
        return cls(task.last_used_time.ToMicroseconds(), task.task_id)


class Store:
    """Accounts, leases, tasks and cooldowns in a SQLite file. Use as a context manager.

    Implements `server.pool.ledger.Ledger` and serves the reads of TaskService. Every call raises
    StoreError when the database fails.
    """

    def __init__(self, url: str) -> None:
        """Raises DatabaseUrlError. Nothing is opened before `__aenter__`."""
        self._path = sqlite_path(url)
        self._sql: Mapping[str, str] = load_queries()
        self._ended = 0
        self._claim: IO[bytes] | None = None
        self._writer: Worker | None = None
        self._reader: Worker | None = None

    async def __aenter__(self) -> Self:
        """Open the database, make or migrate its schema.

        Raises StoreError when it cannot be used, is another process's or is newer than this Howler.
        """
        self._claim = claim(self._path)
        try:
            writer = Worker("store-writer", "BEGIN IMMEDIATE", self._connect_writer)
            await writer.open()
            self._writer = writer
            reader = Worker("store-reader", "BEGIN", lambda: connect(self._path))
            await reader.open()
            self._reader = reader
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is queued and close."""
        for worker in (self._reader, self._writer):
            if worker is not None:
                await worker.close()
        if self._claim is not None:
            self._claim.close()

    def _connect_writer(self) -> sqlite3.Connection:
        connection = connect(self._path)
        try:
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _write(self, operation: Operation[T]) -> T:
        assert self._writer is not None
        return await self._writer.run(operation)

    async def _do(self, *steps: tuple[str, Parameters]) -> None:
        """Carry out named statements as one operation."""

        def operation(connection: sqlite3.Connection) -> None:
            for name, parameters in steps:
                connection.execute(self._sql[name], parameters)

        await self._write(operation)

    async def _read(self, name: str, parameters: Parameters) -> list[sqlite3.Row]:
        assert self._reader is not None
        return await self._reader.run(lambda db: db.execute(self._sql[name], parameters).fetchall())

    async def open_books(self, now_us: int) -> Books:
        """See Ledger."""

        def operation(db: sqlite3.Connection) -> Books:
            tasks = [rows.task(row) for row in db.execute(self._sql["active_tasks"])]
            db.execute(self._sql["void_leases"], {"now_us": now_us})
            db.execute(self._sql["forget_leases"], {"before_us": now_us - LEASE_MEMORY_US})
            db.execute(self._sql["drop_old_cooldowns"], {"now_us": now_us})
            return Books(
                members=[rows.member(row) for row in db.execute(self._sql["list_accounts"])],
                tasks=tasks,
                cooldowns=[rows.cooldown(row) for row in db.execute(self._sql["list_cooldowns"])],
            )

        return await self._write(operation)

    async def add_account(self, member: Member) -> None:
        """See Ledger."""
        await self._do(("add_account", rows.of_member(member)))

    async def put_account(self, member: Member) -> None:
        """See Ledger."""
        await self._do(("put_account", rows.of_member(member)))

    async def remove_account(self, account_id: AccountId, now_us: int) -> None:
        """See Ledger."""
        which: Parameters = {"account_id": account_id, "now_us": now_us}
        await self._do(
            ("end_leases_of_account", which),
            ("end_tasks_of_account", which),
            ("drop_cooldowns_of_account", which),
            ("delete_account", which),
        )

    async def grant(self, lease: Lease, slots: int, task_id: TaskId, now_us: int) -> int | None:
        """See Ledger."""
        parameters = rows.of_lease(lease, task_id, slots, now_us)
        if lease.mode != LeaseMode.LEASE_MODE_EXCLUSIVE:
            name = "grant_shared"
        else:
            name = "grant_task" if task_id else "grant_slot"

        def operation(db: sqlite3.Connection) -> int | None:
            granted = db.execute(self._sql[name], parameters).fetchone()
            if granted is None:
                return None
            db.execute(self._sql["take_token"], parameters)
            return int(granted["token"])

        return await self._write(operation)

    async def end_lease(self, lease_id: LeaseId, now_us: int) -> None:
        """See Ledger."""
        self._ended += 1
        sweep = self._ended % _SWEEP == 0

        def operation(db: sqlite3.Connection) -> None:
            ended = db.execute(self._sql["end_lease"], {"lease_id": lease_id, "now_us": now_us}).fetchone()
            if ended is not None and ended["task_id"]:
                db.execute(self._sql["use_task"], {"task_id": ended["task_id"], "now_us": now_us})
            if sweep:
                db.execute(self._sql["forget_leases"], {"before_us": now_us - LEASE_MEMORY_US})

        await self._write(operation)

    async def lease_token(self, lease_id: LeaseId) -> int | None:
        """See Ledger."""
        found = await self._read("lease_token", {"lease_id": lease_id})
        return int(found[0]["token"]) if found else None

    async def record_task(self, task: Task, lease_id: LeaseId) -> None:
        """See Ledger."""
        parameters = rows.of_task(task)
        await self._do(("record_task", parameters), ("bind_lease", {**parameters, "lease_id": lease_id}))

    async def touch_task(self, task_id: TaskId, turn_id: str, now_us: int) -> None:
        """See Ledger."""
        await self._do(("touch_task", {"task_id": task_id, "turn_id": turn_id, "now_us": now_us}))

    async def end_task(self, task_id: TaskId, now_us: int) -> None:
        """See Ledger."""
        await self._do(("end_task", {"task_id": task_id, "now_us": now_us}))

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task, active or ended."""
        found = await self._read("get_task", {"task_id": task_id})
        return rows.task(found[0]) if found else None

    async def tasks(
        self, state: TaskState, principal: str, limit: int, after: TaskCursor | None = None
    ) -> list[Task]:
        """Return up to `limit` tasks in a state (UNSPECIFIED: any) of a principal ("": any).

        The one used last comes first; `after` is where the page before ended.
        """
        found = await self._read(
            "list_tasks",
            {
                "state": state,
                "principal": principal,
                "limit": limit,
                "after_us": after.last_used_us if after else None,
                "after_id": after.task_id if after else None,
            },
        )
        return [rows.task(row) for row in found]

    async def cool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """See Ledger."""
        await self._do(("put_cooldown", rows.of_cooldown(account_id, cooldown)))

    async def uncool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """See Ledger."""
        await self._do(("drop_cooldown", rows.of_cooldown(account_id, cooldown)))
