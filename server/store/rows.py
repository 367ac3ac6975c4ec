"""Rows of the tables as the types of the pool, and back."""

import sqlite3
from dataclasses import asdict
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from howler.pool.v1.pool_service_pb2 import Cooldown, Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, Member, TaskId

Parameters = dict[str, Any]


def member(row: sqlite3.Row) -> Member:
    """Return an account."""
    return Member(**{**dict(row), "enabled": bool(row["enabled"])})


def of_member(account: Member) -> Parameters:
    """Return an account's columns."""
    return asdict(account)


def of_lease(lease: Lease, task_id: TaskId, slots: int, now_us: int) -> Parameters:
    """Return what a grant needs to know of a lease."""
    return {
        "lease_id": lease.lease_id,
        "account_id": lease.account_id,
        "mode": lease.mode,
        "holder": lease.holder,
        "purpose": lease.purpose,
        "task_id": task_id,
        "slots": slots,
        "now_us": now_us,
    }


def task(row: sqlite3.Row) -> Task:
    """Return a task."""
    return Task(
        task_id=row["task_id"],
        state=row["state"],
        account_id=row["account_id"],
        model=row["model"],
        principal=row["principal"],
        turn_id=row["turn_id"],
        create_time=_timestamp(row["create_us"]),
        last_used_time=_timestamp(row["last_used_us"]),
    )


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


def cooldown(row: sqlite3.Row) -> tuple[AccountId, Cooldown]:
    """Return a cooldown and its account."""
    return AccountId(row["account_id"]), Cooldown(
        reason=row["reason"],
        scope=row["scope"],
        until_time=_timestamp(row["until_us"]),
        upstream_model_id=row["upstream_model_id"],
    )


def of_cooldown(account_id: AccountId, cooling: Cooldown) -> Parameters:
    """Return a cooldown's columns."""
    return {
        "account_id": account_id,
        "scope": cooling.scope,
        "upstream_model_id": cooling.upstream_model_id,
        "reason": cooling.reason,
        "until_us": cooling.until_time.ToMicroseconds(),
    }


def _timestamp(microseconds: int) -> Timestamp:
    moment = Timestamp()
    moment.FromMicroseconds(microseconds)
    return moment
