"""Stands in for the platform at the pool's edge; and short ways to ask a pool."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool.account import AccountId, Credentials
from server.pool.pool import Pool
from server.pool.terms import Terms
from server.store.sqlite import Store
from tests.support.keys import ring

EXCLUSIVE = LeaseMode.LEASE_MODE_EXCLUSIVE
SHARED = LeaseMode.LEASE_MODE_SHARED
_TERMS = Terms()


@dataclass
class User:
    """A user of the platform."""

    user_id: str
    name: str = ""
    email: str = ""


class Platform:
    """Knows passwords and sessions, counts logins, stops tasks."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.sessions: dict[str, User] = {}
        self.logins: Counter[str] = Counter()
        self.stopped: list[str] = []
        self.login_error: ServiceError | None = None
        self.whoami_error: ServiceError | None = None
        self.evict_error: Exception | None = None
        self.unstoppable: set[str] = set()
        self.gate = asyncio.Event()  # logins and stops wait for it
        self.gate.set()

    def user(self, name: str) -> str:
        """Add a user with a session and return its cookie."""
        self.sessions[f"cookie-{name}"] = User(f"user-{name}", name, f"{name}@example.com")
        return f"cookie-{name}"

    async def login(self, email: str, password: str) -> str:
        self.logins[email] += 1
        await self.gate.wait()
        if self.login_error is not None:
            raise self.login_error
        if self.passwords.get(email.casefold()) != password:
            raise ServiceError(ErrorReason.ERROR_REASON_LOGIN_FAILED, "no")
        name = email.casefold().partition("@")[0]
        cookie = f"{name}-{len(self.sessions)}"
        self.sessions[cookie] = User(f"user-{name}", "", email)
        return cookie

    async def whoami(self, cookie: str) -> User:
        await asyncio.sleep(0)
        if self.whoami_error is not None:
            raise self.whoami_error
        if cookie not in self.sessions:
            raise ServiceError(ErrorReason.ERROR_REASON_SESSION_EXPIRED, "401")
        return self.sessions[cookie]

    async def stop(self, task: Task, lease: Lease | None = None) -> None:
        await self.gate.wait()
        if self.evict_error is not None:
            raise self.evict_error
        if task.task_id in self.unstoppable:
            raise ServiceError(ErrorReason.ERROR_REASON_UPSTREAM_ERROR, "no")
        self.stopped.append(task.task_id)


@asynccontextmanager
async def pool_in(
    folder: Path, platform: Platform, terms: Terms = _TERMS
) -> AsyncIterator[tuple[Pool, Store]]:
    """Open a pool on the database of a folder."""
    async with (
        Store(f"sqlite:///{folder}/howler.db", ring(), terms.slots, terms.reclaim) as store,
        Pool(store, platform, evict=platform.stop, terms=terms) as pool,
    ):
        yield pool, store


async def with_accounts(pool: Pool, platform: Platform, *names: str, slots: int = 0) -> list[AccountId]:
    """Import users with sessions and return their accounts."""
    accounts = []
    for name in names:
        account, _ = await pool.import_account(Credentials(cookie=platform.user(name), slots=slots))
        accounts.append(AccountId(account.account_id))
    return accounts


async def take(pool: Pool, wait: float = 20.0, mode: LeaseMode = EXCLUSIVE, **more: object) -> Lease:
    """Acquire a lease, on a task where one is named."""
    if "task_id" in more:
        return await pool.acquire_task(holder="test", purpose="", wait=wait, **more)  # type: ignore[arg-type]
    return await pool.acquire(mode, holder="test", purpose="", wait=wait, **more)  # type: ignore[arg-type]


async def give(pool: Pool, lease: Lease) -> None:
    """Release a lease."""
    await pool.release(lease.lease_id, lease.token)


async def idle_task(pool: Pool, task_id: str, **more: object) -> Task:
    """Make a task under a lease and let it idle."""
    lease = await take(pool, **more)  # type: ignore[arg-type]
    task = Task(task_id=task_id, account_id=lease.account_id, model="m", principal="p", turn_id="turn")
    await pool.record_task(task, lease)
    await give(pool, lease)
    return task


async def until(condition: object, seconds: float = 60.0) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
