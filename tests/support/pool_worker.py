"""A process that takes and gives back leases through a Pool for as long as it lives; and its nursery.

`python -m tests.support.pool_worker URL LOG` is the nursery: for every line on stdin it forks a worker and
prints its process id. Importing takes longer than a worker lives, so it is done once.

A worker appends to LOG, one line per fact, on CLOCK_MONOTONIC in nanoseconds:
`grant account token time`, `use account token time`, `stop task time`.
"""

import asyncio
import gc
import os
import random
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

import uvloop
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool.account import TaskId
from server.pool.pool import Pool
from server.pool.show import timestamp
from server.pool.terms import Terms
from server.store.errors import StoreError
from server.store.open import store_at
from tests.support.keys import ring

TERMS = Terms(slots=1, ttl=0.6, renew=0.15, margin=0.1, reclaim=0.15)
CALLERS = 3
"""How many in a worker want a lease at the same time."""


class NoPlatform:
    """Nobody logs in here."""

    async def login(self, email: str, password: str) -> str:
        raise AssertionError("nobody logs in")

    async def whoami(self, cookie: str) -> object:
        return await asyncio.Event().wait()  # the background asks, and nobody answers


@dataclass(frozen=True)
class Log:
    """A file that whole lines are appended to, each with one write."""

    handle: int

    def tell(self, what: str, *facts: object, when: int) -> None:
        """Append a line."""
        os.write(self.handle, " ".join(map(str, (what, *facts, when))).encode() + b"\n")


async def work(url: str, log: Log) -> None:
    """Take and give back leases for ever."""

    async def evict(task: Task, lease: Lease | None = None) -> None:
        log.tell("stop", task.task_id, when=time.monotonic_ns())

    while True:
        with suppress(StoreError):  # the database may be away
            async with (
                store_at(url, ring(), TERMS.slots, TERMS.reclaim) as store,
                Pool(store, NoPlatform(), evict=evict, terms=TERMS) as pool,  # type: ignore[arg-type]
            ):
                await asyncio.gather(*(call(pool, log) for _ in range(CALLERS)))


async def call(pool: Pool, log: Log) -> None:
    """One caller: a lease, some uses, perhaps a task, and back."""
    while True:
        try:
            lease = await pool.acquire(
                LeaseMode.LEASE_MODE_EXCLUSIVE, holder=str(os.getpid()), purpose="storm", wait=10.0
            )
        except ServiceError:
            continue
        except StoreError:
            await asyncio.sleep(0.1)
            continue
        when = time.monotonic_ns()
        if not pool.fence(lease).holds:
            continue  # stopped for too long before it heard of the grant
        log.tell("grant", lease.account_id, lease.token, when=when)
        with suppress(ServiceError, StoreError):
            await use(pool, log, lease)


async def use(pool: Pool, log: Log, lease: Lease) -> None:
    """Use a lease until it is enough or lost. Raises LEASE_LOST."""
    task_id = TaskId("")
    try:
        fence = pool.fence(lease)
        if random.random() < 0.3:
            now = timestamp(time.time_ns() // 1000)
            task = Task(task_id=f"task-{lease.lease_id}", create_time=now, last_used_time=now)
            await pool.record_task(task, lease)
            task_id = TaskId(task.task_id)
        for _ in range(random.randrange(1, 10)):
            when = time.monotonic_ns()  # before the check: what is checked cannot be older than this
            fence.check()
            log.tell("use", lease.account_id, lease.token, when=when)
            await asyncio.sleep(random.random() * 0.01)
    finally:
        await pool.give_back(lease, ended_task=task_id)


def main(url: str, path: str) -> None:
    """Fork a worker per line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    log = Log(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    gc.freeze()
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the lines are the nursery's
            random.seed()
            uvloop.run(work(url, log))
        print(pid, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
