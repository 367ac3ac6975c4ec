"""The account pool: grants leases, counts slots, and keeps the accounts usable.

What is granted is decided on the board (pure, in memory) and recorded in the ledger before a caller hears of
it. A caller that is cancelled leaves nothing behind: what it was granted is ended.
"""

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import (
    ACCOUNT_STATE_EXPIRED,
    LEASE_MODE_EXCLUSIVE,
    LEASE_MODE_SHARED,
    Account,
    GetPoolResponse,
    Lease,
    LeaseMode,
    WatchResponse,
)
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.ids import new_id
from server.pool import show
from server.pool.account import AccountId, Credentials, LeaseId, Session, TaskId
from server.pool.attendant import Attendant
from server.pool.choice import Want
from server.pool.chores import repeat
from server.pool.claims import Claims
from server.pool.fence import Fence, lost
from server.pool.inspector import Inspector
from server.pool.leases import session_expired
from server.pool.ledger import Ledger
from server.pool.queue import Place
from server.pool.roster import Roster
from server.pool.sessions import Authenticator
from server.pool.stops import Adopt, Evict
from server.pool.tasks import copied
from server.pool.terms import Terms

_E = ErrorReason
_CHANGES: Final = (
    PoolEvent.POOL_EVENT_IMPORTED,
    PoolEvent.POOL_EVENT_CHANGED,
    PoolEvent.POOL_EVENT_REMOVED,
)
_TERMS: Final = Terms()
_NO_TASK: Final = TaskId("")


def _is_full(refusal: ServiceError | None) -> bool:
    return refusal is not None and refusal.reason == _E.ERROR_REASON_CONCURRENCY_LIMIT


class Pool:
    """The accounts and who holds them. Use as a context manager, or by `visit`, in the loop that calls it.

    `evict` stops a task on the platform to free its slot; when it returns the task counts as ended, when it
    raises as active. `now` is the wall clock (seconds since 1970), for records only; deadlines use
    CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        ledger: Ledger,
        authenticator: Authenticator,
        *,
        evict: Evict,
        terms: Terms = _TERMS,
        now: Callable[[], float] = time.time,
        new_id: Callable[[str], str] = new_id,
    ) -> None:
        self._attendant = parts = Attendant(ledger, authenticator, evict, terms, now, new_id)
        self._desk = parts.desk
        self._queue = parts.queue
        self._health = parts.health
        self._leases = parts.leases
        self._granting = parts.granting
        self._tasks = parts.tasks
        self._claims = Claims(parts.desk, parts.leases)
        self._roster = Roster(parts.desk, parts.health, evict)
        self._inspector = Inspector(parts.desk, parts.health)

    async def __aenter__(self) -> Self:
        """Open the pool and look after it: its sessions, and what dead processes left.

        A task whose turn such a process left in the middle is stopped, unless somebody adopts the turn: its
        agent may be at work still, and a next turn would be told the words of the one before.
        """
        await self._open()
        self._tasks.minded = True
        await self._roster.sweep()
        self._health.cooldowns.adopt()
        self._roster.check()
        self._desk.chores.spawn(self._inspector.run())
        self._attendant.changed()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Refuse who waits, end who watches, cancel what runs in the background."""
        self._queue.close()
        self._desk.watchers.close()
        await self._desk.chores.close()
        self._desk.alarm.off()

    @asynccontextmanager
    async def visit(self) -> AsyncGenerator[Self, None]:
        """Open the pool for what is asked of it and no more, as a command does for a moment."""
        await self._open()
        try:
            yield self
        finally:
            await self.__aexit__()

    async def _open(self) -> None:
        """Read the books, having ended what leases a dead process left."""
        desk = self._desk
        desk.ledger.listen(desk.mirror.heard)
        await desk.ledger.reclaim()
        await desk.mirror.refresh()
        desk.chores.spawn(repeat(desk.terms.renew, self._leases.renew_kept))

    def offer_orphans(self, adopt: Adopt) -> None:
        """Have turns adopted whose tasks were left in the middle. To be called before the pool is opened."""
        self._attendant.stops.adopt = adopt

    def place(self, priority: int) -> Place:
        """Return a place in line: of those who wait the higher priority is served first, then who came first.

        Whoever has to come again, for what was granted was of no use, keeps it.
        """
        return self._queue.place(priority)

    def stand_down(self) -> None:
        """Look after tasks no more: what is left in the middle from now on is for other processes."""
        self._tasks.minded = False

    async def acquire(
        self,
        mode: LeaseMode,
        *,
        holder: str,
        purpose: str,
        wait: float,
        ttl: float | None = None,
        place: Place | None = None,
        account_id: AccountId | None = None,
        among: frozenset[AccountId] | None = None,
        avoid: frozenset[AccountId] = frozenset(),
        upstream_model_id: str = "",
    ) -> Lease:
        """Grant a lease of `ttl` seconds, waiting for it up to `wait` seconds.

        Without a `ttl` the pool itself renews it until it is given back. Those who wait are served in the
        order of their places; who has none is last of those of priority 0.

        An exclusive one takes a free slot of an account that is `account_id`, where given, is one of
        `among`, where given, is none of `avoid`, and may use the model as far as is known. A shared one
        is of any account with a session.

        Raises NO_ACCOUNT at once when no account could ever serve it; POOL_EXHAUSTED when none came free in
        time, or at once when all are cooling for longer or were to be avoided.
        """
        exclusive = mode != LEASE_MODE_SHARED
        lease = Lease(mode=LEASE_MODE_EXCLUSIVE if exclusive else mode, holder=holder, purpose=purpose)
        want = Want(exclusive, account_id or None, among, avoid, upstream_model_id)
        granted = await self._granting.acquire(want, lease, wait=wait, ttl=ttl, place=place)
        self._tasks.keep_spare()
        return granted

    async def acquire_task(
        self, task_id: TaskId, *, holder: str, purpose: str, wait: float, ttl: float | None = None
    ) -> Lease:
        """Grant an exclusive lease on an idle task and its slot; the wait is for its account's login only.

        Raises TASK_NOT_FOUND, TASK_ENDED, TASK_BUSY, NO_ACCOUNT and SESSION_EXPIRED.
        """
        lease = Lease(mode=LEASE_MODE_EXCLUSIVE, holder=holder, purpose=purpose)
        return await self._granting.acquire_task(task_id, lease, wait=wait, ttl=ttl)

    async def renew(self, lease_id: str, token: int, ttl: float = 15.0) -> Lease:
        """Move a lease's end to `ttl` seconds from now.

        Raises LEASE_LOST when it lapsed or was released, LEASE_NOT_FOUND when the token is another one.
        """
        return await self._leases.renew(LeaseId(lease_id), token, ttl)

    async def lease(self, lease_id: str, token: int) -> Lease:
        """Return a lease that is live. Raises as `renew` does."""
        return await self._leases.get(LeaseId(lease_id), token)

    async def claim(self, lease_id: str, token: int, task_id: TaskId, turn_id: str) -> Lease:
        """Take a caller's lease for a turn; `task_id` is empty for a new task. See Claims.claim."""
        return await self._claims.claim(LeaseId(lease_id), token, task_id, turn_id)

    async def unclaim(self, lease_id: str, turn_id: str, *, refusal: ServiceError | None = None) -> None:
        """Give a claimed lease back to its caller, whose it stays. `refusal` is as of `give_back`."""
        if _is_full(refusal):
            self._tasks.refused(LeaseId(lease_id))
        await self._desk.chores.settle(self._claims.unclaim(LeaseId(lease_id), turn_id))

    def fence(self, lease: Lease) -> Fence:
        """Return what says whether a lease's holder may still send. Raises LEASE_LOST."""
        held = self._desk.board.leases.get(LeaseId(lease.lease_id))
        if held is None or held.foreign:
            raise lost()
        held.fence.check()
        return held.fence

    async def release(self, lease_id: str, token: int) -> None:
        """End a caller's lease; one that has ended is no error. A turn that runs on it ends LEASE_LOST first.

        Raises LEASE_NOT_FOUND when the token is another one.
        """
        await self._leases.release(LeaseId(lease_id), token)

    async def give_back(
        self, lease: Lease, *, ended_task: TaskId = _NO_TASK, refusal: ServiceError | None = None
    ) -> None:
        """End the lease of a turn that is over; one that is lost is left to lapse.

        `ended_task` has ended on the platform. `refusal` is what the platform said where a task was to be
        made: after CONCURRENCY_LIMIT an idle task of the account is stopped and its slot granted next, or,
        where there is none, the lease's slot is closed for a while, as one that the account does not have.
        """
        lease_id = LeaseId(lease.lease_id)
        close_slot = self._tasks.refused(lease_id) if _is_full(refusal) else 0.0
        await self._leases.give_back(lease_id, ended_task=ended_task, close_slot=close_slot)

    async def give_up(self, lease: Lease) -> None:
        """End the lease of a turn that is not over: its task counts as left in the middle."""
        held = self._desk.board.leases.get(LeaseId(lease.lease_id))
        if held is not None and not held.ending:
            await self._desk.chores.settle(self._leases.give_up(held))

    async def record_task(self, task: Task, lease: Lease) -> None:
        """Record a task made under a lease: it takes the lease's slot over.

        The task is recorded in any case. Raises LEASE_LOST when the lease is no longer live: the
        task is stopped then.
        """
        made = copied(task)
        made.account_id = lease.account_id
        await self._tasks.record(made, LeaseId(lease.lease_id))

    async def touch_task(self, task_id: TaskId, *, turn_id: str) -> None:
        """Record that a turn begins on a task."""
        await self._tasks.touch(task_id, turn_id)

    def retire(self, task_id: TaskId) -> None:
        """Stop a task that nobody will speak to again, in the background, unless a turn runs on it."""
        self._tasks.retire(task_id)

    async def task_ended(self, task_id: TaskId) -> None:
        """Record that a task has ended on the platform: its slot is free. Again is no error."""
        await self._desk.chores.settle(self._tasks.ended(task_id))

    async def register(self, accounts: Sequence[Credentials]) -> None:
        """Add the accounts of the configuration, or renew them, without asking the platform.

        They are checked in the background. Raises INVALID_REQUEST and TEAM_SESSION; nothing is
        changed then.
        """
        await self._desk.chores.settle(self._roster.register(accounts))
        self._attendant.changed()

    async def import_account(self, credentials: Credentials) -> tuple[Account, bool]:
        """Try credentials on the platform, then add the account or renew it. True says that it is new.

        Raises INVALID_REQUEST, TEAM_SESSION and what the platform says; nothing is changed then.
        """
        result = await self._desk.chores.settle(self._roster.import_account(credentials))
        self._attendant.changed()
        return result

    async def import_accounts(
        self, accounts: Sequence[Credentials | ServiceError]
    ) -> list[tuple[Account, bool] | ServiceError]:
        """Import each account of a list; return what became of each, in its order. See import_account."""
        results = await self._desk.chores.settle(self._roster.import_accounts(accounts))
        self._attendant.changed()
        return results

    async def enable_account(self, account_id: AccountId) -> Account:
        """Let an account be granted again. Raises ACCOUNT_NOT_FOUND."""
        account = await self._desk.chores.settle(self._roster.enable(account_id))
        self._attendant.changed()
        return account

    async def disable_account(self, account_id: AccountId) -> Account:
        """Keep an account from being granted; turns that run on it go on. Raises ACCOUNT_NOT_FOUND."""
        account = await self._desk.chores.settle(self._roster.disable(account_id))
        self._attendant.changed()
        return account

    async def check_account(self, account_id: AccountId) -> Account:
        """Ask the platform about an account's session now; tell what it found. Raises ACCOUNT_NOT_FOUND."""
        return await self._desk.chores.settle(self._roster.check_now(account_id))

    async def reset_cooldown(self, account_id: AccountId, upstream_model_id: str = "") -> list[Cooldown]:
        """End an account's cooldowns, one model's, or ("") the platform's. Raises ACCOUNT_NOT_FOUND."""
        return await self._desk.chores.settle(self._health.cooldowns.reset(account_id, upstream_model_id))

    async def remove_account(self, account_id: AccountId) -> None:
        """Stop an account's tasks where the platform lets us, then forget it. Raises ACCOUNT_NOT_FOUND."""
        await self._desk.chores.settle(self._roster.remove(account_id))
        self._attendant.changed()

    async def accounts(self) -> list[Account]:
        """Return every account in the order of registration."""
        return self._accounts()

    def _accounts(self) -> list[Account]:
        board = self._desk.board
        return [show.account(board, seat) for seat in board.seats.values()]

    async def status(self) -> GetPoolResponse:
        """Return the pool's counts."""
        desk = self._desk
        warn_us = int(desk.terms.session_warn * 1e6)
        return show.counts(desk.board, len(self._queue), desk.now(), desk.now_us(), warn_us)

    async def usable(self) -> list[AccountId]:
        """Return the accounts that plain calls can be made as, cooling or not.

        Waits a moment for logins that are under way, and for the first where there is no other account.
        """
        await self._health.logins.settled()
        return [seat.id for seat in self._desk.board.seats.values() if seat.usable]

    def serves(self, among: Iterable[AccountId]) -> bool:
        """Tell whether one of these accounts can be granted, now or after a login."""
        seats = self._desk.board.seats
        return any((seat := seats.get(one)) is not None and (seat.usable or seat.asleep) for one in among)

    def session(self, account_id: AccountId, lease: Lease | None = None) -> Session:
        """Return what calls to the platform need; under a lease they are fenced by it.

        Raises ACCOUNT_NOT_FOUND, SESSION_EXPIRED and LEASE_LOST.
        """
        seat = self._desk.board.seats.get(account_id)
        if seat is None:
            raise ServiceError(_E.ERROR_REASON_ACCOUNT_NOT_FOUND, "no such account")
        if not seat.member.cookie or seat.member.state == ACCOUNT_STATE_EXPIRED:
            raise session_expired()
        return Session(account_id, seat.member.cookie, self.fence(lease) if lease is not None else None)

    async def report(
        self,
        account_id: AccountId,
        error: ServiceError,
        upstream_model_id: str = "",
        session: Session | None = None,
    ) -> None:
        """Tell a failure met on an account: it is treated by the table of server/pool/treatment.py.

        `session` is the one that was used; with it a late report of an old session changes nothing.
        """
        await self._desk.chores.settle(self._health.report(account_id, error, upstream_model_id, session))

    def heed_accounts(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever an account comes, goes or changes, but for its leases and cooldowns."""
        self._desk.watchers.heed(_CHANGES, call)

    def watch(self, after: str = "") -> AsyncGenerator[WatchResponse, None]:
        """Yield the pool as it is, or the events behind the cursor `after`, then its events as they happen.

        Raises SLOW_CONSUMER, and SHUTTING_DOWN at the end.
        """
        return self._desk.watchers.watch(self._accounts, after)
