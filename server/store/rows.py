"""Rows of the tables as the types of the pool, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol

from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, Member, TaskId
from server.pool.ledger import Cold, Holding, Work
from server.pool.show import timestamp
from server.store.keyring import KeyRing
from server.store.seal import Key

Parameters = dict[str, Any]

_SECRETS: Final = ("cookie", "password")
"""Columns of an account that are sealed."""


class Row(Protocol):
    """A row by its columns' names."""

    def __getitem__(self, name: str, /) -> Any:
        """Return a column."""

    def keys(self) -> Any:
        """Return the columns' names."""


def member(row: Row, ring: KeyRing) -> Member:
    """Return an account, its secrets opened. Raises SealError."""
    columns: Mapping[str, Any] = {name: row[name] for name in row.keys()}  # noqa: SIM118 -- a row yields values
    flags = {name: bool(columns[name]) for name in ("enabled", "session_dated")}
    return Member(**{**columns, **flags, **_opened(row, ring)})


def of_member(account: Member, key: Key) -> Parameters:
    """Return an account's columns, its secrets sealed."""
    columns = asdict(account)
    return {**columns, **_sealed(account.account_id, columns, key)}


def resealed(row: Row, ring: KeyRing, key: Key) -> Parameters:
    """Return an account's id and its secrets, sealed with another key. Raises SealError."""
    account_id: str = row["account_id"]
    return {"account_id": account_id, **_sealed(account_id, _opened(row, ring), key)}


def _opened(row: Row, ring: KeyRing) -> Parameters:
    return {name: ring.open(f"account.{name}", row["account_id"], row[name]) for name in _SECRETS}


def _sealed(account_id: str, columns: Mapping[str, Any], key: Key) -> Parameters:
    return {name: key.seal(f"account.{name}", account_id, columns[name]) for name in _SECRETS}


def holding(row: Row, clock: int, reclaim: int) -> Holding:
    """Return a lease; `clock` is the ledger's, `reclaim` the time after its lapse, both in microseconds."""
    return Holding(
        lease=Lease(
            lease_id=row["lease_id"],
            account_id=row["account_id"],
            mode=row["mode"],
            token=row["token"],
            holder=row["holder"],
            purpose=row["purpose"],
        ),
        replica=row["replica"],
        task_id=TaskId(row["task_id"]),
        left=(row["until"] - clock) / 1e6,
        reclaimable=(row["until"] + reclaim - clock) / 1e6,
    )


def of_lease(lease: Lease, task_id: TaskId, now_us: int) -> Parameters:
    """Return what a grant needs to know of a lease."""
    return {
        "lease_id": lease.lease_id,
        "account_id": lease.account_id,
        "mode": lease.mode,
        "holder": lease.holder,
        "purpose": lease.purpose,
        "task_id": task_id,
        "now_us": now_us,
    }


def task(row: Row) -> Task:
    """Return a task."""
    return Task(
        task_id=row["task_id"],
        state=row["state"],
        account_id=row["account_id"],
        model=row["model"],
        principal=row["principal"],
        turn_id=row["turn_id"],
        create_time=timestamp(row["create_us"]),
        last_used_time=timestamp(row["last_used_us"]),
    )


def work(row: Row) -> Work:
    """Return an active task."""
    return Work(task(row), busy=bool(row["busy"]))


def of_task(recorded: Task) -> Parameters:
    """Return a task's columns."""
    return {
        "task_id": recorded.task_id,
        "account_id": recorded.account_id,
        "model": recorded.model,
        "principal": recorded.principal,
        "turn_id": recorded.turn_id,
        "create_us": recorded.create_time.ToMicroseconds(),
        "last_used_us": recorded.last_used_time.ToMicroseconds(),
    }


def cold(row: Row, clock: int) -> Cold:
    """Return a cooldown and its account."""
    cooldown = Cooldown(
        reason=row["reason"],
        scope=row["scope"],
        until_time=timestamp(row["until_us"]),
        upstream_model_id=row["upstream_model_id"],
    )
    return Cold(AccountId(row["account_id"]), cooldown, left=(row["until"] - clock) / 1e6)


def of_cooldown(account_id: AccountId, cooling: Cooldown) -> Parameters:
    """Return a cooldown's columns."""
    return {
        "account_id": account_id,
        "scope": cooling.scope,
        "upstream_model_id": cooling.upstream_model_id,
        "reason": cooling.reason,
        "until_us": cooling.until_time.ToMicroseconds(),
    }
