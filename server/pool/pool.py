"""The account pool: grants leases, counts slots, and keeps the accounts usable.

What is granted is decided on the board (pure, in memory) and recorded in the ledger before a caller hears of
it. A caller that is cancelled leaves nothing behind: what it was granted is ended.
"""

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import (
    Account,
    AccountState,
    Cooldown,
    GetPoolResponse,
    Lease,
    LeaseMode,
    PoolEvent,
    WatchResponse,
)
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool import show
from server.pool.account import AccountId, Credentials, LeaseId, Session, TaskId
from server.pool.board import ActiveTask, Board
from server.pool.choice import Want
from server.pool.chores import Alarm, Chores, repeat
from server.pool.claims import Claims
from server.pool.desk import Desk
from server.pool.fence import Fence, lost
from server.pool.granting import Granting
from server.pool.health import Health
from server.pool.inspector import Inspector
from server.pool.leases import Leases, session_expired
from server.pool.ledger import Ledger
from server.pool.merge import Merged
from server.pool.mirror import Mirror
from server.pool.queue import Place, Queue
from server.pool.roster import Roster
from server.pool.sessions import Authenticator
from server.pool.tasks import Adopt, Evict, Tasks, copied
from server.pool.terms import Terms
from server.pool.watchers import Watchers

_log = logging.getLogger(__name__)
_E = ErrorReason
_TERMS: Final = Terms()
_NO_TASK: Final = TaskId("")


def _is_full(refusal: ServiceError | None) -> bool:
    return refusal is not None and refusal.reason == _E.ERROR_REASON_CONCURRENCY_LIMIT


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


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
        new_id: Callable[[str], str] = _new_id,
    ) -> None:
        board, chores = Board(terms.slots), Chores()
        self._desk = desk = Desk(
            board=board,
            ledger=ledger,
            mirror=Mirror(board, ledger, chores, terms, self._merged),
            chores=chores,
            alarm=Alarm(self._ring),
            watchers=Watchers(now, lambda: ledger.replica),
            terms=terms,
            wall=now,
            new_id=new_id,
        )
        self._queue = Queue(board, log_in=self._log_in, evict=self._start_eviction)
        self._health = Health(desk, authenticator, changed=self._changed)
        self._leases = Leases(desk, gone=self._gone)
        self._granting = Granting(desk, self._queue, self._health, self._leases)
        self._claims = Claims(desk, self._leases)
        self._tasks = Tasks(desk, self._queue, self._health, self._leases, self._granting, evict)
        self._roster = Roster(desk, self._health, evict)
        self._inspector = Inspector(desk, self._health)
        self._attends = False

    async def __aenter__(self) -> Self:
        """Open the pool and look after it: its sessions, and what dead processes left.

        A task whose turn such a process left in the middle is stopped, unless somebody adopts the turn: its
        agent may be at work still, and a next turn would be told the words of the one before.
        """
        await self._open()
        self._attends = True
        await self._roster.sweep()
        self._health.cooldowns.adopt()
        self._roster.check()
        self._desk.chores.spawn(self._inspector.run())
        self._stop_orphans()
        self._changed()
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
        self._tasks.adopt = adopt

    def place(self, priority: int) -> Place:
        """Return a place in line: of those who wait the higher priority is served first, then who came first.

        Whoever has to come again, for what was granted was of no use, keeps it.
        """
        return self._queue.place(priority)

    def stand_down(self) -> None:
        """Look after tasks no more: what is left in the middle from now on is for other processes."""
        self._attends = False

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
        exclusive = mode != LeaseMode.LEASE_MODE_SHARED
        lease = Lease(
            mode=LeaseMode.LEASE_MODE_EXCLUSIVE if exclusive else mode, holder=holder, purpose=purpose
        )
        want = Want(exclusive, account_id or None, among, avoid, upstream_model_id)
        granted = await self._granting.acquire(want, lease, wait=wait, ttl=ttl, place=place)
        self._keep_spare()
        return granted

    async def acquire_task(
        self, task_id: TaskId, *, holder: str, purpose: str, wait: float, ttl: float | None = None
    ) -> Lease:
        """Grant an exclusive lease on an idle task and its slot; the wait is for its account's login only.

        Raises TASK_NOT_FOUND, TASK_ENDED, TASK_BUSY, NO_ACCOUNT and SESSION_EXPIRED.
        """
        lease = Lease(mode=LeaseMode.LEASE_MODE_EXCLUSIVE, holder=holder, purpose=purpose)
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
        await self._desk.chores.settle(self._tasks.record(made, LeaseId(lease.lease_id)))

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
        self._changed()

    async def import_account(self, credentials: Credentials) -> tuple[Account, bool]:
        """Try credentials on the platform, then add the account or renew it. True says that it is new.

        Raises INVALID_REQUEST, TEAM_SESSION and what the platform says; nothing is changed then.
        """
        result = await self._desk.chores.settle(self._roster.import_account(credentials))
        self._changed()
        return result

    async def import_accounts(
        self, accounts: Sequence[Credentials | ServiceError]
    ) -> list[tuple[Account, bool] | ServiceError]:
        """Import each account of a list; return what became of each, in its order. See import_account."""
        results = await self._desk.chores.settle(self._roster.import_accounts(accounts))
        self._changed()
        return results

    async def enable_account(self, account_id: AccountId) -> Account:
        """Let an account be granted again. Raises ACCOUNT_NOT_FOUND."""
        account = await self._desk.chores.settle(self._roster.enable(account_id))
        self._changed()
        return account

    async def disable_account(self, account_id: AccountId) -> Account:
        """Keep an account from being granted; turns that run on it go on. Raises ACCOUNT_NOT_FOUND."""
        account = await self._desk.chores.settle(self._roster.disable(account_id))
        self._changed()
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
        self._changed()

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
        if not seat.member.cookie or seat.member.state == AccountState.ACCOUNT_STATE_EXPIRED:
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

    def watch(self, after: str = "") -> AsyncGenerator[WatchResponse, None]:
        """Yield the pool as it is, or the events behind the cursor `after`, then its events as they happen.

        Raises SLOW_CONSUMER, and SHUTTING_DOWN at the end.
        """
        return self._desk.watchers.watch(self._accounts, after)

    def _log_in(self, account_id: AccountId) -> None:
        self._health.logins.log_in(account_id)

    def _start_eviction(self, active: ActiveTask) -> None:
        self._tasks.start_eviction(active)

    def _gone(self, task_id: TaskId) -> None:
        """A lease ended: its slot may be wanted, its task may have been left in the middle of a turn."""
        self._queue.stir()
        self._keep_spare()
        if (active := self._desk.board.tasks.get(task_id)) and active.orphaned:
            self._stop_orphans()

    def _merged(self, merged: Merged) -> None:
        """The books brought news of other replicas."""
        for held in merged.lost:
            _log.warning("lease %s (%s) was lost: the ledger has it no more", held.id, held.lease.purpose)
            self._desk.tell(PoolEvent.POOL_EVENT_RELEASED, held.account_id)
        for account_id in merged.changed:
            self._desk.tell(PoolEvent.POOL_EVENT_CHANGED, account_id)
        for account_id in merged.removed:
            self._desk.tell(PoolEvent.POOL_EVENT_REMOVED, account_id)
        for cooling in merged.over:
            self._health.cooldowns.ended_elsewhere(cooling)
        self._changed()

    def _stop_orphans(self) -> None:
        if self._attends:
            self._tasks.stop_orphans()

    def _keep_spare(self) -> None:
        if self._attends:
            self._tasks.keep_spare()

    def _changed(self) -> None:
        """See to those who wait after an account or a cooldown changed, to orphans, and to the alarm."""
        self._desk.board.offer_withheld()
        self._see_to(self._desk.now())

    def _see_to(self, now: float) -> None:
        """Do so where all that was over by `now` is off the board; what is over since rings the alarm."""
        self._health.logins.noticed()
        self._stop_orphans()
        self._keep_spare()
        self._queue.recheck()
        moments = (when for when in self._desk.board.moments() if when > now)
        self._desk.alarm.by(min(moments, default=float("inf")))

    def _ring(self) -> None:
        """See to what is over by now."""
        now = self._desk.now()
        self._leases.lapse(now)
        for seat in self._desk.board.seats.values():
            seat.closed = [opens for opens in seat.closed if opens > now]
        self._health.cooldowns.expire(now)
        self._see_to(now)
