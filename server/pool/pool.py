"""The account pool: grants leases, counts slots, and keeps the accounts usable.

What is granted is decided on the board (pure, in memory) and recorded in the ledger before a caller hears of
it. A caller that is cancelled leaves nothing behind: what it was granted is ended.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Self

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import (
    Account,
    AccountState,
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
from server.pool.board import Board, Cooling, Held, Room
from server.pool.choice import Want
from server.pool.chores import Alarm, Chores
from server.pool.health import Authenticator, Health
from server.pool.ledger import Ledger
from server.pool.queue import Queue
from server.pool.roster import Roster
from server.pool.treatment import COOLDOWN_CAP
from server.pool.watchers import Watchers

_log = logging.getLogger(__name__)
_E = ErrorReason
_LEASE_SECONDS: Final = 15.0
_EVICT_PAUSE: Final = 60.0  # seconds before a task that could not be stopped is tried again
_RETRY_PAUSE: Final = 1.0  # seconds before the end of a lease that the store refused is tried again


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


class Pool:
    """The accounts and who holds them. Use as a context manager, in the loop that calls it.

    `evict` stops a task on the platform to free its slot; when it returns the task counts as ended, when it
    raises as active. `default_slots` is how many active tasks an account has whose record does not say.
    `now` is the wall clock (seconds since 1970), for records only; deadlines use the loop's clock.
    """

    def __init__(
        self,
        ledger: Ledger,
        authenticator: Authenticator,
        *,
        evict: Callable[[Task], Awaitable[None]],
        default_slots: int = 1,
        now: Callable[[], float] = time.time,
        new_id: Callable[[str], str] = _new_id,
    ) -> None:
        self._ledger = ledger
        self._evict = evict
        self._now = now
        self._new_id = new_id
        self._board = Board(default_slots)
        self._chores = Chores()
        self._alarm = Alarm(self._ring)
        self._watchers = Watchers(now)
        self._queue = Queue(self._board, log_in=self._log_in, evict=self._start_eviction)
        self._health = Health(
            self._board,
            ledger,
            authenticator,
            self._chores,
            now_us=self._now_us,
            tell=self._tell,
            changed=self._changed,
        )
        self._roster = Roster(
            self._board,
            ledger,
            self._health,
            self._chores,
            evict=evict,
            new_id=new_id,
            now_us=self._now_us,
            tell=self._tell,
        )

    async def __aenter__(self) -> Self:
        """Open the books: leases of an earlier process are void, its active tasks are idle."""
        books = await self._ledger.open_books(self._now_us())
        by_use = sorted(
            (self._board.put(member) for member in books.members), key=lambda seat: seat.member.last_used_us
        )
        for seat in by_use:
            if seat.member.last_used_us:
                self._board.used_now(seat)
        for task in books.tasks:
            self._board.enter(task)
        now, wall = _monotonic(), self._now()
        for account_id, cooldown in books.cooldowns:
            left = min(cooldown.until_time.ToMicroseconds() / 1e6 - wall, COOLDOWN_CAP)
            cooling = Cooling(account_id, cooldown, now + max(0.0, left))
            self._board.coolings[cooling.key] = cooling
        await self._roster.sweep()
        self._roster.check()
        self._rearm()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Refuse who waits, end who watches, cancel what runs in the background."""
        self._alarm.off()
        self._queue.close()
        self._watchers.close()
        await self._chores.close()

    # Leases

    async def acquire(
        self,
        mode: LeaseMode,
        *,
        holder: str,
        purpose: str,
        wait: float,
        ttl: float = _LEASE_SECONDS,
        account_id: AccountId | None = None,
        among: frozenset[AccountId] | None = None,
        avoid: frozenset[AccountId] = frozenset(),
        task_id: TaskId | None = None,
        upstream_model_id: str = "",
    ) -> Lease:
        """Grant a lease of `ttl` seconds, waiting for it up to `wait` seconds.

        An exclusive one takes a free slot of an account that is `account_id`, where given, is one of
        `among`, where given, is none of `avoid`, and may use the model as far as is known. With `task_id`
        it is a lease on that task and its slot, and the other restrictions do not matter. A shared one
        is of any account with a session.

        Raises NO_ACCOUNT at once when no account could ever serve it; POOL_EXHAUSTED when none came free in
        time, or at once when all are cooling for longer or were to be avoided; TASK_NOT_FOUND,
        TASK_ENDED and TASK_BUSY.
        """
        exclusive = mode != LeaseMode.LEASE_MODE_SHARED
        lease = Lease(
            mode=LeaseMode.LEASE_MODE_EXCLUSIVE if exclusive else mode, holder=holder, purpose=purpose
        )
        deadline = _monotonic() + wait
        if task_id:
            held = await self._reserve_task(task_id, lease, deadline)
            granted = await self._grant(held, ttl)
            if granted is None:
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended")
            return granted
        want = Want(exclusive, account_id or None, among, avoid, upstream_model_id)
        while True:
            lease.lease_id = self._new_id("lease")
            held = await self._queue.wait(want, _copy(lease), deadline - _monotonic())
            granted = await self._grant(held, ttl)
            if granted is not None:
                return granted
            want = replace(want, avoid=want.avoid | {held.account_id})

    async def _reserve_task(self, task_id: TaskId, lease: Lease, deadline: float) -> Held:
        """Reserve an idle task, whose account may first have to log in."""
        while True:
            room = self._board.rooms.get(task_id)
            if room is None:
                if await self._ledger.task(task_id) is None:
                    raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended")
            if room.evicting:
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task is being stopped for its slot")
            if room.lease_id:
                raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this task")
            seat = self._board.seats[room.account_id]
            if not seat.member.enabled:
                raise ServiceError(_E.ERROR_REASON_NO_ACCOUNT, "the account of this task is disabled")
            if seat.member.has_session:
                lease.lease_id, lease.account_id = self._new_id("lease"), seat.id
                held = Held(lease, task_id)
                self._board.hold(held)
                self._board.used_now(seat)
                return held
            now = _monotonic()
            if not seat.member.can_log_in or seat.login_after > now or deadline <= now:
                raise _expired()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await asyncio.shield(self._health.log_in(seat.id))

    async def _grant(self, held: Held, ttl: float) -> Lease | None:
        """Record a reservation; None when the ledger refuses it or the account went away meanwhile."""
        seat = self._board.seats.get(held.account_id)
        if seat is None:
            return None
        now_us = self._now_us()
        try:
            token = await self._ledger.grant(held.lease, seat.slots, held.task_id, now_us)
        except BaseException:
            self._chores.spawn(self._end(held))  # recorded or not: it is ended behind the grant
            raise
        if token is None or held.id not in self._board.leases:
            self._board.let_go(held.id)
            self._queue.stir()
            return None
        held.lease.token = token
        self._extend(held, ttl)
        self._board.put(replace(seat.member, last_used_us=now_us))
        self._tell(PoolEvent.POOL_EVENT_LEASED, seat.id)
        return _copy(held.lease)

    def _extend(self, held: Held, ttl: float) -> None:
        held.lease.expire_time.FromMicroseconds(self._now_us() + int(ttl * 1e6))
        held.deadline = _monotonic() + ttl
        self._alarm.by(held.deadline)

    async def renew(self, lease_id: str, token: int, ttl: float = _LEASE_SECONDS) -> Lease:
        """Move a lease's end to `ttl` seconds from now.

        Raises LEASE_LOST when it lapsed or was released, LEASE_NOT_FOUND when the token is another one.
        """
        held = await self._live(LeaseId(lease_id), token)
        self._extend(held, ttl)
        return _copy(held.lease)

    async def lease(self, lease_id: str, token: int) -> Lease:
        """Return a lease that is live. Raises as `renew` does."""
        return _copy((await self._live(LeaseId(lease_id), token)).lease)

    async def release(self, lease_id: str, token: int) -> None:
        """End a lease; one that has ended is no error. Raises LEASE_NOT_FOUND when the token is another one."""
        try:
            held = await self._live(LeaseId(lease_id), token)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_LEASE_LOST:
                return
            raise
        await self._chores.settle(self._end(held))

    async def _live(self, lease_id: LeaseId, token: int) -> Held:
        held = self._board.leases.get(lease_id)
        known = held.lease.token if held is not None else await self._ledger.lease_token(lease_id)
        if known is None or known != token:
            raise ServiceError(_E.ERROR_REASON_LEASE_NOT_FOUND, "no lease has this id and token")
        if held is None or held.ending or held.deadline <= _monotonic():
            raise ServiceError(_E.ERROR_REASON_LEASE_LOST, "the lease lapsed or was released")
        return held

    async def _end(self, held: Held) -> None:
        """End a lease: by release, by lapse, or because its caller was cancelled."""
        if held.ending:
            return
        held.ending = True
        try:
            await self._ledger.end_lease(held.id, self._now_us())
        except BaseException:
            held.ending, held.deadline = False, _monotonic() + _RETRY_PAUSE
            self._alarm.by(held.deadline)
            raise
        self._board.let_go(held.id)
        self._tell(PoolEvent.POOL_EVENT_RELEASED, held.account_id)
        self._queue.stir()

    # Tasks

    async def record_task(self, task: Task, lease: Lease) -> None:
        """Record a task made under a lease: it takes the lease's slot over.

        The task is recorded in any case. Raises LEASE_LOST when the lease is no longer live: the task is idle then.
        """
        await self._chores.settle(self._record_task(_task(task, lease.account_id), LeaseId(lease.lease_id)))

    async def _record_task(self, task: Task, lease_id: LeaseId) -> None:
        await self._ledger.record_task(task, lease_id)
        if AccountId(task.account_id) not in self._board.seats:
            await self._ledger.end_task(TaskId(task.task_id), self._now_us())
        self._board.enter(task, lease_id)
        await self._health.proven(AccountId(task.account_id))
        room = self._board.rooms.get(TaskId(task.task_id))
        if room is None or room.lease_id != lease_id:
            self._queue.stir()
            raise ServiceError(_E.ERROR_REASON_LEASE_LOST, "the lease lapsed while the task was made")

    async def touch_task(self, task_id: TaskId, *, turn_id: str) -> None:
        """Record that a turn begins on a task."""
        now_us = self._now_us()
        if room := self._board.rooms.get(task_id):
            room.task.turn_id = turn_id
            room.task.last_used_time.FromMicroseconds(now_us)
        await self._ledger.touch_task(task_id, turn_id, now_us)

    async def task_ended(self, task_id: TaskId) -> None:
        """Record that a task has ended on the platform: its slot is free. Again is no error."""
        await self._chores.settle(self._task_ended(task_id))

    async def _task_ended(self, task_id: TaskId) -> None:
        await self._ledger.end_task(task_id, self._now_us())
        if self._board.leave(task_id) is not None:
            self._queue.stir()

    def _start_eviction(self, room: Room) -> None:
        self._chores.spawn(self._evict_task(room))

    async def _evict_task(self, room: Room) -> None:
        """Stop an idle task for its slot."""
        room.evicting = True
        _log.info("task %s was idle longest and is stopped for its slot", room.id)
        try:
            await self._evict(_copy_task(room.task))
        except Exception as error:
            _log.warning("task %s could not be stopped: %s", room.id, _describe(error))
            room.evict_after = _monotonic() + _EVICT_PAUSE
            self._alarm.by(room.evict_after)
        else:
            await self._task_ended(room.id)
        finally:
            room.evicting = False
            self._queue.stir()

    # Accounts

    async def register(self, accounts: Sequence[Credentials]) -> None:
        """Add the accounts of the configuration, or renew them: see Roster.register."""
        await self._chores.settle(self._roster.register(accounts))
        self._changed()

    async def import_account(self, credentials: Credentials) -> tuple[Account, bool]:
        """Try credentials on the platform, then add the account or renew it. True says that it is new.

        Raises INVALID_REQUEST, TEAM_SESSION and what the platform says; nothing is changed then.
        """
        result = await self._roster.import_account(credentials)
        self._changed()
        return result

    async def remove_account(self, account_id: AccountId) -> None:
        """Stop an account's tasks where the platform lets us, then forget it. Raises ACCOUNT_NOT_FOUND."""
        await self._chores.settle(self._roster.remove(account_id))
        self._changed()

    async def accounts(self) -> list[Account]:
        """Return every account in the order of registration."""
        return self._accounts()

    def _accounts(self) -> list[Account]:
        return [show.account(self._board, seat) for seat in self._board.seats.values()]

    async def status(self) -> GetPoolResponse:
        """Return the pool's counts."""
        return show.counts(self._board, len(self._queue), _monotonic())

    async def usable(self) -> list[AccountId]:
        """Return the accounts that plain calls can be made as, cooling or not."""
        return [
            seat.id for seat in self._board.seats.values() if seat.member.enabled and seat.member.has_session
        ]

    def session(self, account_id: AccountId) -> Session:
        """Return what calls to the platform need. Raises ACCOUNT_NOT_FOUND and SESSION_EXPIRED."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            raise ServiceError(_E.ERROR_REASON_ACCOUNT_NOT_FOUND, "no such account")
        if not seat.member.cookie or seat.member.state == AccountState.ACCOUNT_STATE_EXPIRED:
            raise _expired()
        return Session(account_id, seat.member.cookie)

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
        await self._chores.settle(self._health.report(account_id, error, upstream_model_id, session))
        if error.reason == _E.ERROR_REASON_CONCURRENCY_LIMIT:
            self._make_room(account_id)

    def _make_room(self, account_id: AccountId) -> None:
        """Stop an idle task of an account that the platform says is full (upstream-protocol §1.4, 10811)."""
        now = _monotonic()
        idle = [
            room
            for room in self._board.rooms.values()
            if room.account_id == account_id and not room.lease_id and room.evict_after <= now
        ]
        if idle and not any(room.evicting for room in idle):
            self._chores.spawn(self._make_room_by(min(idle, key=lambda room: room.idle_since)))

    async def _make_room_by(self, room: Room) -> None:
        coolings = [
            cooling for cooling in self._board.coolings.values() if cooling.account_id == room.account_id
        ]
        await self._evict_task(room)
        if room.id not in self._board.rooms:
            for cooling in coolings:
                if cooling.cooldown.reason == "CONCURRENCY_LIMIT":
                    await self._health.warm(cooling)

    def watch(self) -> AsyncIterator[WatchResponse]:
        """Yield the pool as it is, then its events. Raises SLOW_CONSUMER, and SHUTTING_DOWN at the end."""
        return self._watchers.watch(self._accounts)

    # Inside

    def _log_in(self, account_id: AccountId) -> None:
        self._health.log_in(account_id)

    def _changed(self) -> None:
        self._queue.recheck()
        self._rearm()

    def _ring(self) -> None:
        """End what is over by now."""
        now = _monotonic()
        for held in list(self._board.leases.values()):
            if held.deadline <= now and not held.ending:
                _log.warning("lease %s of %s lapsed", held.id, held.lease.holder)
                self._chores.spawn(self._end(held))
        for cooling in list(self._board.coolings.values()):
            if cooling.until <= now:
                self._chores.spawn(self._health.warm(cooling))
        self._changed()

    def _rearm(self) -> None:
        now = _monotonic()
        self._alarm.by(min((when for when in self._board.moments() if when > now), default=float("inf")))

    def _tell(self, event: PoolEvent, account_id: AccountId) -> None:
        if self._watchers.present:
            seat = self._board.seats.get(account_id)
            known = Account(account_id=account_id)
            self._watchers.tell(event, known if seat is None else show.account(self._board, seat))

    def _now_us(self) -> int:
        return int(self._now() * 1e6)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _expired() -> ServiceError:
    return ServiceError(_E.ERROR_REASON_SESSION_EXPIRED, "the platform no longer takes the account's session")


def _describe(error: Exception) -> str:
    return repr(error) if isinstance(error, ServiceError) else type(error).__name__


def _copy(lease: Lease) -> Lease:
    copy = Lease()
    copy.CopyFrom(lease)
    return copy


def _copy_task(task: Task) -> Task:
    copy = Task()
    copy.CopyFrom(task)
    return copy


def _task(task: Task, account_id: str) -> Task:
    copy = _copy_task(task)
    copy.account_id = account_id
    return copy
