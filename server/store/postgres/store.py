"""The store on PostgreSQL: many replicas on many machines. What a turn does is one statement each."""

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, Self, TypeVar

import asyncpg
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import Task, TaskState

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Books, Changed
from server.store import rows
from server.store.keyring import KeyRing
from server.store.pages import Cursor, page
from server.store.postgres.address import Address
from server.store.postgres.connections import Connection, Connections
from server.store.postgres.failures import FAILED, store_error
from server.store.postgres.listener import Listener
from server.store.postgres.order import Order
from server.store.postgres.schema import alone, migrate, migrations
from server.store.postgres.secrets import Secrets
from server.store.postgres.statements import Statements
from server.store.postgres.turns import Turns
from server.store.rows import Parameters
from server.store.seal import Key

T = TypeVar("T")

LEASE_MEMORY_US: Final = 3600 * 1_000_000
"""How long a lease that was released or lapsed is remembered, so that its holder hears that it is lost."""

_SWEEP: Final = 1024  # leases that are released between two sweeps
_NO_TASK: Final = TaskId("")


class PostgresStore:
    """Accounts, leases, tasks and cooldowns in PostgreSQL. Use as a context manager.

    Implements `server.pool.ledger.Ledger` and serves the reads of TaskService; `turns` keeps turns and their
    logs. While the database is away an operation is tried again for RETRY_SECONDS; then it raises StoreError.
    All of them may be sent twice without harm, but for `claim_login`. A lease whose grant failed may have
    been recorded: it lapses.
    """

    def __init__(self, url: str, ring: KeyRing, default_slots: int = 1, reclaim: float = 10.0) -> None:
        """`ring` seals cookies and passwords; `reclaim` is how many seconds a lapsed lease keeps its slot.

        Raises DatabaseUrlError. Nothing is opened before `__aenter__`.
        """
        self._address = Address.of(url)
        self._replica = f"replica_{secrets.token_hex(8)}"
        self._reclaim_us = _us(reclaim)
        self._statements = Statements(
            {"replica": self._replica, "default_slots": default_slots, "reclaim_us": self._reclaim_us}
        )
        self._fetch = self._statements.fetch
        self._ring = ring
        self._secrets = Secrets(self._statements, ring)
        self._connections = Connections(self._address)
        self.turns: Final = Turns(self._connections, self._statements, self._replica)
        self._listener = Listener(self._replica, self._connections.connect)
        self._order = Order()
        self._released = 0

    @property
    def replica(self) -> str:
        """See Ledger."""
        return self._replica

    async def __aenter__(self) -> Self:
        """Connect, make or migrate the schema, begin to listen.

        Raises StoreError when it cannot be used or is newer than this Howler, SealError for the wrong key.
        """
        scripts = migrations()

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await alone(connection)
                await migrate(connection, scripts)
                await self._secrets.admit(connection)
                await self._fetch(connection, "open_slots", {"account_id": None})

        try:
            await self._connections.run(work, again=True)
            await self._listener.open()
        except FAILED as error:
            await self.__aexit__()
            raise store_error(error, self._address) from None
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for what was called and close."""
        await self._order.settled()
        await self._listener.close()
        await self._connections.close()

    def listen(self, changed: Changed) -> None:
        """See Ledger."""
        self._listener.changed = changed

    async def _do(
        self, keys: Iterable[str], name: str, parameters: Parameters, *, again: bool = True
    ) -> list[asyncpg.Record]:
        """Carry out a named statement, in the order of calls where keys are shared."""

        async def work(connection: Connection) -> list[asyncpg.Record]:
            return await self._fetch(connection, name, parameters)

        return await self._in_order(keys, work, again=again)

    async def _in_order(
        self,
        keys: Iterable[str],
        work: Callable[[Connection], Awaitable[T]],
        *,
        again: bool = True,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        """Carry work out in its turn; `committed` is told the result even where the caller has left."""

        async def operation() -> T:
            result = await self._connections.run(work, again=again)
            if committed is not None:
                committed(result)
            return result

        return await self._order.run([key for key in keys if key], operation)

    async def write(self, key: str, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables. Sent again where the database went away meanwhile: a query must bear that."""
        return await self._do([key], name, parameters)

    async def write_soon(self, key: str, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables."""
        return await self.write(key, name, parameters)

    async def read(self, name: str, parameters: Parameters) -> Sequence[rows.Row]:
        """See Tables."""

        async def work(connection: Connection) -> list[asyncpg.Record]:
            return await self._fetch(connection, name, parameters)

        return await self._connections.run(work, again=True)

    # Accounts.

    async def books(self, accounts: Collection[AccountId] | None = None) -> Books:
        """See Ledger."""
        which = None if accounts is None else list(accounts)
        found = (await self.read("books", {"accounts": which}))[0]
        clock = found["clock"]
        return Books(
            members=[rows.member(row, self._ring) for row in json.loads(found["accounts"])],
            leases=[rows.holding(row, clock, self._reclaim_us) for row in json.loads(found["leases"])],
            tasks=[rows.work(row) for row in json.loads(found["tasks"])],
            cooldowns=[rows.cold(row, clock) for row in json.loads(found["cooldowns"])],
            closed=[
                (AccountId(row["account_id"]), (row["closed_until"] - clock) / 1e6)
                for row in json.loads(found["closed"])
            ],
        )

    async def add_account(self, member: Member) -> bool:
        """See Ledger."""

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                columns = await self._secrets.sealed(connection, member)
                return bool((await self._fetch(connection, "add_account", columns))[0]["added"])

        return await self._in_order([member.account_id], work)

    async def put_account(self, member: Member) -> bool:
        """See Ledger."""
        which: Parameters = {"account_id": member.account_id}

        async def work(connection: Connection) -> bool:
            try:
                async with connection.transaction():
                    columns = await self._secrets.sealed(connection, member)
                    if not await self._fetch(connection, "change_account", columns):
                        return False
                    await self._fetch(connection, "open_slots", which)
            except asyncpg.UniqueViolationError:  # its user has another account
                return False
            return True

        return await self._in_order([member.account_id], work)

    async def remove_account(self, account_id: AccountId, now_us: int) -> None:
        """See Ledger."""
        which: Parameters = {"account_id": account_id, "now_us": now_us}

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                for name in ("lock_slots", "lock_account", "remove_account"):
                    await self._fetch(connection, name, which)

        await self._in_order([account_id], work)

    async def claim_login(self, account_id: AccountId, seconds: float) -> bool:
        """See Ledger."""
        which: Parameters = {"account_id": account_id, "us": _us(seconds)}
        return bool(await self._do([account_id], "claim_login", which, again=False))

    async def cool(self, account_id: AccountId, cooldown: Cooldown, seconds: float) -> None:
        """See Ledger."""
        cooling = {**rows.of_cooldown(account_id, cooldown), "us": _us(seconds)}
        await self._do([f"cooldown {account_id}"], "put_cooldown", cooling)

    async def uncool(self, account_id: AccountId, cooldown: Cooldown) -> None:
        """See Ledger."""
        await self._do([f"cooldown {account_id}"], "drop_cooldown", rows.of_cooldown(account_id, cooldown))

    # Leases.

    async def grant(self, lease: Lease, task_id: TaskId, ttl: float, now_us: int) -> int | None:
        """See Ledger."""
        asked = {**rows.of_lease(lease, task_id, now_us), "ttl_us": _us(ttl)}
        if lease.mode != LEASE_MODE_EXCLUSIVE:
            name = "grant_shared"
        else:
            name = "grant_task" if task_id else "grant_slot"
        found = await self._granted([lease.account_id, lease.lease_id, task_id], name, "granted", asked)
        return int(found[0]["token"]) if found else None

    async def grant_tasks(
        self, leases: Mapping[TaskId, Lease], ttl: float, now_us: int
    ) -> Mapping[TaskId, int]:
        """See Ledger."""
        columns = [rows.of_lease(lease, task_id, now_us) for task_id, lease in leases.items()]
        asked: Parameters = {
            name: [column[name] for column in columns]
            for name in ("lease_id", "account_id", "mode", "holder", "purpose", "task_id")
        }
        asked |= {"ttl_us": _us(ttl), "now_us": now_us}
        keys = {*asked["account_id"], *asked["lease_id"], *leases}
        found = await self._granted(keys, "grant_tasks", "granted_tasks", asked)
        return {TaskId(row["task_id"]): int(row["token"]) for row in found}

    async def _granted(
        self, keys: Iterable[str], name: str, known: str, asked: Parameters
    ) -> list[asyncpg.Record]:
        """Carry out a grant; where an earlier try of it may have been, `known` asks what it gave."""
        tried = False

        async def work(connection: Connection) -> list[asyncpg.Record]:
            nonlocal tried
            found: list[asyncpg.Record] = []
            if tried:  # what became of the first try is not known
                found = await self._fetch(connection, known, asked)
            tried = True
            try:
                return found or await self._fetch(connection, name, asked)
            except asyncpg.UniqueViolationError:  # it was late, but it was carried out
                return await self._fetch(connection, known, asked)

        return await self._in_order(keys, work)

    async def renew(self, leases: Mapping[LeaseId, float]) -> frozenset[LeaseId]:
        """See Ledger."""
        asked = {"leases": list(leases), "ttls_us": [_us(seconds) for seconds in leases.values()]}
        return frozenset(LeaseId(row["lease_id"]) for row in await self._do(leases, "renew", asked))

    async def claim(self, lease_id: LeaseId, task_id: TaskId, turn_id: str) -> float | None:
        """See Ledger."""
        asked = {"lease_id": lease_id, "task_id": task_id, "turn_id": turn_id}
        claimed = await self._do([lease_id, task_id], "claim", asked)
        return float(claimed[0]["left_s"]) if claimed else None

    async def unclaim(self, lease_id: LeaseId, turn_id: str, now_us: int) -> None:
        """See Ledger."""
        await self._do([lease_id], "unclaim", {"lease_id": lease_id, "turn_id": turn_id, "now_us": now_us})

    async def release(self, lease_id: LeaseId, now_us: int) -> bool:
        """See Ledger."""
        self._released += 1
        if self._released % _SWEEP == 0:
            await self._do([], "forget_leases", {"before_us": now_us - LEASE_MEMORY_US})
        given = await self._do([lease_id], "release", {"lease_id": lease_id, "now_us": now_us})
        return not given or bool(given[0]["ended"])

    async def lapse(self, lease_id: LeaseId, now_us: int) -> bool:
        """See Ledger."""
        lapsed = await self._do([lease_id], "lapse", {"lease_id": lease_id, "now_us": now_us})
        return bool(lapsed[0]["over"])

    async def end_lease(
        self, lease_id: LeaseId, now_us: int, *, ended_task: TaskId = _NO_TASK, close_slot: float = 0.0
    ) -> None:
        """See Ledger."""
        ended: Parameters = {
            "lease_id": lease_id,
            "now_us": now_us,
            "ended_task": ended_task,
            "close_us": _us(close_slot),
        }
        await self._do([lease_id, ended_task], "end_lease", ended)

    async def end_tasks(self, leases: Mapping[TaskId, LeaseId], now_us: int) -> None:
        """See Ledger."""
        ended = {"tasks": list(leases), "leases": list(leases.values()), "now_us": now_us}
        await self._do([*leases, *leases.values()], "end_tasks", ended)

    async def reclaim(self) -> frozenset[AccountId]:
        """See Ledger."""
        now_us = time.time_ns() // 1000
        await self._do([], "forget_leases", {"before_us": now_us - LEASE_MEMORY_US})
        found = await self._do([], "reclaim", {"now_us": now_us})
        return frozenset(AccountId(row["account_id"]) for row in found)

    async def lease_token(self, lease_id: LeaseId) -> int | None:
        """See Ledger."""
        found = await self.read("lease_token", {"lease_id": lease_id})
        return int(found[0]["token"]) if found else None

    # Tasks.

    async def record_task(
        self, task: Task, lease_id: LeaseId, recorded: Callable[[bool], None] | None = None
    ) -> bool:
        """See Ledger."""
        asked = {**rows.of_task(task), "lease_id": lease_id}

        async def work(connection: Connection) -> bool:
            if lease_id and await self._fetch(connection, "record_leased_task", asked):
                return True
            await self._fetch(connection, "record_task", asked)
            return False

        return await self._in_order([task.account_id, task.task_id, lease_id], work, committed=recorded)

    async def touch_task(self, task_id: TaskId, turn_id: str, now_us: int) -> None:
        """See Ledger."""
        await self._do([task_id], "touch_task", {"task_id": task_id, "turn_id": turn_id, "now_us": now_us})

    async def end_task(self, task_id: TaskId, now_us: int) -> None:
        """See Ledger."""
        await self._do([task_id], "end_task", {"task_id": task_id, "now_us": now_us})

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
        key = await self._in_order([], self._secrets.sealing_key)
        return key.id

    async def reseal(self, key: Key) -> int:
        """Seal all secrets with another key, which seals from then on; return of how many accounts.

        Raises SealError, and changes nothing then.
        """

        async def work(connection: Connection) -> int:
            async with connection.transaction():
                return await self._secrets.reseal(connection, key)

        return await self._in_order([], work)


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
