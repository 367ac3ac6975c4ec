"""The store on SQLite: many processes of one machine; each has one writer thread and one reader thread."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Self

from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Books, Changed
from server.store import rows
from server.store.clock import boot_id
from server.store.connection import connect, hurry, prepare, sqlite_path
from server.store.keyring import KeyRing
from server.store.pages import Cursor, page
from server.store.records import NONE, Accounts, Records
from server.store.replicas import Replicas
from server.store.rows import Parameters
from server.store.schema import migrate
from server.store.seal import Key
from server.store.shortcut import Shortcut
from server.store.sqlite_statements import statements
from server.store.sqlite_turns import Turns
from server.store.worker import Operation, T, Worker

LEASE_MEMORY_US: Final = 3600 * 1_000_000
"""How long a lease that was released or lapsed is remembered, so that its holder hears that it is lost."""

_FEW: Final = 16  # tasks that the loop stops together: more would hold up all streams
_SWEEP: Final = 1024  # leases that are released between two sweeps
_NO_TASK: Final = TaskId("")


class Store:
    """Accounts, leases, tasks and cooldowns in a SQLite file. Use as a context manager.

    Implements `server.pool.ledger.Ledger` and serves the reads of TaskService; `turns` keeps turns and their
    logs. Every call raises StoreError when the database fails.
    """

    def __init__(self, url: str, ring: KeyRing, default_slots: int = 1, reclaim: float = 10.0) -> None:
        """`ring` seals cookies and passwords; `reclaim` is how many seconds a lapsed lease keeps its slot.

        Raises DatabaseUrlError. Nothing is opened before `__aenter__`.
        """
        self._path = sqlite_path(url)
        self._sql = statements()
        self._replicas = Replicas(self._path, self._told, self._died)
        self._records = Records(self._sql, self.replica, ring, default_slots, reclaim)
        self.turns: Final = Turns(self._sql, self.replica, self._write, self.read)
        self._released = 0
        self._changed: Changed | None = None
        self._to_tell: set[AccountId] = set()
        self._reclaiming: asyncio.Task[frozenset[AccountId]] | None = None
        self._writer: Worker | None = None
        self._shortcut: Shortcut | None = None
        self._reader: Worker | None = None

    @property
    def replica(self) -> str:
        """See Ledger."""
        return self._replicas.name

    async def __aenter__(self) -> Self:
        """Open the database, make or migrate its schema.

        Raises StoreError when it cannot be used or is newer than this Howler, SealError for the wrong key.
        """
        prepare(self._path)
        try:
            self._replicas.open()
            writer = Worker("store-writer", self._connect_writer, writes=True)
            await writer.open()
            self._writer = writer
            self._shortcut = Shortcut(writer)
            reader = Worker("store-reader", lambda: connect(self._path), writes=False)
            await reader.open()
            self._reader = reader
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what is queued and close."""
        if self._reclaiming is not None:
            await asyncio.gather(self._reclaiming, return_exceptions=True)
        if self._reader is not None:
            await self._reader.close()
        if self._shortcut is not None:
            self._shortcut.give_up()
        if self._writer is not None:
            await self._writer.close()
        self._tell()
        self._replicas.close()

    def _connect_writer(self) -> sqlite3.Connection:
        connection = connect(self._path, shared=True)
        try:
            migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            self._records.admit(connection)
            self._records.begin_boot(connection, boot_id(), time.time_ns() // 1000)
            connection.execute("COMMIT")
            hurry(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    # Other processes.

    def listen(self, changed: Changed) -> None:
        """See Ledger."""
        self._changed = changed

    def _told(self, accounts: frozenset[AccountId] | None) -> None:
        if self._changed is not None:
            self._changed(accounts)

    def _died(self) -> None:
        """Another process is dead: nobody else may notice."""
        if self._reclaiming is None or self._reclaiming.done():
            self._reclaiming = asyncio.create_task(self._reclaim_for_all())

    async def _reclaim_for_all(self) -> frozenset[AccountId]:
        accounts = await self.reclaim()
        self._told(accounts)
        return accounts

    def _note(self, accounts: Accounts) -> None:
        """Tell the others at the end of the loop's round, in one message for all that was committed."""
        if accounts:
            if not self._to_tell:
                asyncio.get_running_loop().call_soon(self._tell)
            self._to_tell |= accounts

    def _tell(self) -> None:
        accounts, self._to_tell = frozenset(self._to_tell), set()
        if accounts:
            self._replicas.tell(accounts)

    def _write(
        self, operation: Operation[T], changes: Callable[[T], Accounts] | None = None
    ) -> asyncio.Future[T]:
        """Carry an operation out; `changes` says by its result what other processes must hear of."""
        assert self._shortcut is not None
        if changes is None:
            return self._shortcut.run_in_thread(operation)
        return self._shortcut.run_in_thread(operation, lambda result: self._note(changes(result)))

    def _write_soon(self, operation: Operation[T], changes: Callable[[T], Accounts]) -> asyncio.Future[T]:
        """Carry out an operation that a turn waits for: see Shortcut."""
        assert self._shortcut is not None
        return self._shortcut.run(operation, lambda result: self._note(changes(result)))

    async def write(self, key: str, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables; here all writes keep their order."""
        return await self._write(lambda db: self._sql[name].run(db, parameters).fetchall())

    async def write_soon(self, key: str, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables."""
        assert self._shortcut is not None
        return await self._shortcut.run(lambda db: self._sql[name].run(db, parameters).fetchall())

    async def read(self, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables."""
        assert self._reader is not None
        return await self._reader.run(lambda db: self._sql[name].run(db, parameters).fetchall())

    # Accounts.

    async def books(self, accounts: Collection[AccountId] | None = None) -> Books:
        """See Ledger."""
        assert self._reader is not None
        return await self._reader.run(lambda db: self._records.books(db, accounts))

    async def add_account(self, member: Member) -> bool:
        """See Ledger."""
        which = frozenset({member.account_id})
        return await self._write(
            lambda db: self._records.add_account(db, member), lambda done: which if done else NONE
        )

    async def put_account(self, member: Member) -> bool:
        """See Ledger."""
        which = frozenset({member.account_id})
        return await self._write(
            lambda db: self._records.put_account(db, member), lambda done: which if done else NONE
        )

    async def remove_account(self, account_id: AccountId, now_us: int) -> None:
        """See Ledger."""
        await self._write(
            lambda db: self._records.remove_account(db, account_id, now_us),
            lambda _: frozenset({account_id}),
        )

    async def claim_login(self, account_id: AccountId, seconds: float) -> bool:
        """See Ledger."""
        return await self._write(lambda db: self._records.claim_login(db, account_id, seconds))

    async def cool(self, account_id: AccountId, cooldown: Cooldown, seconds: float) -> None:
        """See Ledger."""
        await self._write(
            lambda db: self._records.cool(db, account_id, cooldown, seconds),
            lambda _: frozenset({account_id}),
        )

    async def uncool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """See Ledger."""
        which = frozenset({account_id})
        await self._write(
            lambda db: self._records.uncool(db, account_id, cooldown), lambda done: which if done else NONE
        )

    # Leases.

    async def grant(self, lease: Lease, task_id: TaskId, ttl: float, now_us: int) -> int | None:
        """See Ledger."""
        heard = lease.mode == LEASE_MODE_EXCLUSIVE
        which = frozenset({AccountId(lease.account_id)}) if heard else NONE
        return await self._write_soon(
            lambda db: self._records.grant(db, lease, task_id, ttl, now_us),
            lambda token: which if token is not None else NONE,
        )

    async def grant_tasks(
        self, leases: Mapping[TaskId, Lease], ttl: float, now_us: int
    ) -> Mapping[TaskId, int]:
        """See Ledger."""
        write = self._write_soon if len(leases) <= _FEW else self._write
        return await write(
            lambda db: self._records.grant_tasks(db, leases, ttl, now_us),
            lambda tokens: frozenset(AccountId(leases[task_id].account_id) for task_id in tokens),
        )

    async def renew(self, leases: Mapping[LeaseId, float]) -> frozenset[LeaseId]:
        """See Ledger."""
        renewed, _ = await self._write(lambda db: self._records.renew(db, leases), lambda result: result[1])
        return renewed

    async def claim(self, lease_id: LeaseId, task_id: TaskId, turn_id: str) -> float | None:
        """See Ledger."""
        claimed = await self._write(
            lambda db: self._records.claim(db, lease_id, task_id, turn_id),
            lambda found: frozenset({found[0]}) if found is not None else NONE,
        )
        return None if claimed is None else claimed[1]

    async def unclaim(self, lease_id: LeaseId, turn_id: str, now_us: int) -> None:
        """See Ledger."""
        await self._write(lambda db: self._records.unclaim(db, lease_id, turn_id, now_us))

    async def release(self, lease_id: LeaseId, now_us: int) -> bool:
        """See Ledger."""
        self._released += 1
        if self._released % _SWEEP == 0:
            await self._write(lambda db: self._records.forget_leases(db, now_us - LEASE_MEMORY_US))
        ended, _ = await self._write(
            lambda db: self._records.release(db, lease_id, now_us), lambda result: result[1]
        )
        return ended

    async def lapse(self, lease_id: LeaseId, now_us: int) -> bool:
        """See Ledger."""
        ended, _ = await self._write(
            lambda db: self._records.lapse(db, lease_id, now_us), lambda result: result[1]
        )
        return ended

    async def end_lease(
        self, lease_id: LeaseId, now_us: int, *, ended_task: TaskId = _NO_TASK, close_slot: float = 0.0
    ) -> None:
        """See Ledger."""
        await self._write_soon(
            lambda db: self._records.end_lease(db, lease_id, now_us, ended_task, close_slot),
            lambda accounts: accounts,
        )

    async def end_tasks(self, leases: Mapping[TaskId, LeaseId], now_us: int) -> None:
        """See Ledger."""
        write = self._write_soon if len(leases) <= _FEW else self._write
        await write(lambda db: self._records.end_tasks(db, leases, now_us), lambda accounts: accounts)

    async def reclaim(self) -> frozenset[AccountId]:
        """See Ledger."""
        now_us = time.time_ns() // 1000
        await self._write(lambda db: self._records.forget_leases(db, now_us - LEASE_MEMORY_US))
        return await self._write(
            lambda db: self._records.reclaim(db, now_us, self._replicas.is_dead), lambda accounts: accounts
        )

    async def lease_token(self, lease_id: LeaseId) -> int | None:
        """See Ledger."""
        found = await self.read("lease_token", {"lease_id": lease_id})
        return int(found[0]["token"]) if found else None

    # Tasks.

    async def record_task(
        self, task: Task, lease_id: LeaseId, recorded: Callable[[bool], None] | None = None
    ) -> bool:
        """See Ledger."""
        which = frozenset({AccountId(task.account_id)})

        def changes(bound: bool) -> Accounts:
            if recorded is not None:
                recorded(bound)
            return NONE if bound else which

        return await self._write_soon(lambda db: self._records.record_task(db, task, lease_id), changes)

    async def touch_task(self, task_id: TaskId, turn_id: str, now_us: int) -> None:
        """See Ledger."""
        asked = {"task_id": task_id, "turn_id": turn_id, "now_us": now_us}
        await self._write_soon(lambda db: self._sql["touch_task"].run(db, asked).rowcount, lambda _: NONE)

    async def end_task(self, task_id: TaskId, now_us: int) -> None:
        """See Ledger."""
        await self._write(lambda db: self._records.end_task(db, task_id, now_us), lambda accounts: accounts)

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task, active or ended."""
        found = await self.read("get_task", {"task_id": task_id})
        return rows.task(found[0]) if found else None

    async def tasks(
        self, state: TaskState, principal: str, limit: int, after: Cursor | None = None
    ) -> list[Task]:
        """Return up to `limit` tasks in a state (UNSPECIFIED: any) of a principal ("": any).

        The one used last comes first; `after` is where the page before ended.
        """
        found = await self.read("list_tasks", page(state, principal, limit, after))
        return [rows.task(row) for row in found]

    # Secrets.

    async def sealing_key(self) -> str:
        """Return the id of the key that seals now."""
        return await self._write(lambda db: self._records.sealing_key(db).id)

    async def reseal(self, key: Key) -> int:
        """Seal all secrets with another key, which seals from then on; return of how many accounts.

        Raises SealError, and changes nothing then.
        """
        return await self._write(lambda db: self._records.reseal(db, key))
