"""The pool's state in memory: the mirror of the ledger that decisions are made on. PURE.

Moments (`until`, `deadline`, `…_after`) are seconds of one monotonic clock, so that a step of the wall clock
neither ends a lease nor keeps a cooldown. An account's slots in use are its active tasks and its live
exclusive leases that are not bound to a task.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from howler.pool.v1.pool_service_pb2 import Cooldown, CooldownScope, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId

CooldownKey = tuple[AccountId, CooldownScope, str]
PLATFORM = AccountId("")
"""The account of a cooldown that covers the whole platform."""

NO_TASK = TaskId("")
NO_LEASE = LeaseId("")


@dataclass(slots=True)
class Held:
    """A lease that is live, or is being granted or ended.

    `deadline` is infinite until the ledger has it; `claimed` is set while a turn runs on it for the caller
    who holds it; `ending` is set from the moment it is being ended.
    """

    lease: Lease
    task_id: TaskId = NO_TASK
    deadline: float = math.inf
    claimed: bool = False
    ending: bool = False

    @property
    def id(self) -> LeaseId:
        """The lease's id."""
        return LeaseId(self.lease.lease_id)

    @property
    def account_id(self) -> AccountId:
        """The lease's account."""
        return AccountId(self.lease.account_id)

    @property
    def exclusive(self) -> bool:
        """It is the right to run a turn."""
        return self.lease.mode == LeaseMode.LEASE_MODE_EXCLUSIVE


@dataclass(slots=True)
class ActiveTask:
    """An active task: idle while no live lease is bound to it.

    `idle_since` orders idle tasks. While `evicting` it is being stopped for its slot; when that
    failed it is not tried again before `evict_after`.
    """

    task: Task
    idle_since: int
    lease_id: LeaseId = NO_LEASE
    evicting: bool = False
    evict_after: float = 0.0

    @property
    def id(self) -> TaskId:
        """The task's id."""
        return TaskId(self.task.task_id)

    @property
    def account_id(self) -> AccountId:
        """The account that it runs on."""
        return AccountId(self.task.account_id)


@dataclass(slots=True)
class Seat:
    """An account on the board: what it has, and when it was granted last (`turn`, a count).

    `usable` says that it may be granted as far as its record tells, `asleep` that a login would make it so.
    `login_after` is when its next login may be tried, unless one is under way (`logging_in`).
    """

    member: Member
    slots: int
    turn: int
    usable: bool = False
    asleep: bool = False
    tasks: set[TaskId] = field(default_factory=set)
    unbound: set[LeaseId] = field(default_factory=set)
    logging_in: bool = False
    login_after: float = 0.0

    @property
    def id(self) -> AccountId:
        """The account's id."""
        return self.member.account_id

    @property
    def used(self) -> int:
        """How many slots are in use."""
        return len(self.tasks) + len(self.unbound)


@dataclass(frozen=True, slots=True)
class Cooling:
    """A cooldown that is not over."""

    account_id: AccountId
    cooldown: Cooldown
    until: float

    @property
    def key(self) -> CooldownKey:
        """What it covers."""
        return self.account_id, self.cooldown.scope, self.cooldown.upstream_model_id


class Board:
    """Who has what."""

    def __init__(self, default_slots: int) -> None:
        self.default_slots = default_slots
        self.seats: dict[AccountId, Seat] = {}
        self.leases: dict[LeaseId, Held] = {}
        self.tasks: dict[TaskId, ActiveTask] = {}
        self.coolings: dict[CooldownKey, Cooling] = {}
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._count

    def put(self, member: Member) -> Seat:
        """Add an account, or replace its record."""
        slots = member.slots or self.default_slots
        seat = self.seats.get(member.account_id)
        if seat is None:
            seat = self.seats[member.account_id] = Seat(member, slots, turn=0)
        else:
            seat.member, seat.slots = member, slots
        seat.usable = member.enabled and member.has_session
        seat.asleep = member.enabled and not member.has_session and member.can_log_in
        return seat

    def user(self, user_id: str) -> Seat | None:
        """Return the account of a user of the platform."""
        return next(
            (seat for seat in self.seats.values() if user_id and seat.member.user_id == user_id), None
        )

    def used_now(self, seat: Seat) -> None:
        """Put an account behind all others in the order of last use."""
        seat.turn = self._next()

    def remove(self, account_id: AccountId) -> None:
        """Take an account away, with its leases, tasks and cooldowns."""
        del self.seats[account_id]
        for held in [held for held in self.leases.values() if held.account_id == account_id]:
            del self.leases[held.id]
        for active in [active for active in self.tasks.values() if active.account_id == account_id]:
            del self.tasks[active.id]
        for key in [key for key in self.coolings if key[0] == account_id]:
            del self.coolings[key]

    def hold(self, held: Held) -> None:
        """Put a lease on the board: it takes a slot, or the task that it is bound to."""
        self.leases[held.id] = held
        seat = self.seats[held.account_id]
        if held.task_id:
            self.tasks[held.task_id].lease_id = held.id
        elif held.exclusive:
            seat.unbound.add(held.id)

    def let_go(self, lease_id: LeaseId) -> Held | None:
        """Take a lease away; its task is idle from now."""
        held = self.leases.pop(lease_id, None)
        if held is None:
            return None
        if seat := self.seats.get(held.account_id):
            seat.unbound.discard(lease_id)
        active = self.tasks.get(held.task_id)
        if active is not None and active.lease_id == lease_id:
            active.lease_id = NO_LEASE
            active.idle_since = self._next()
        return held

    def enter(self, task: Task, lease_id: LeaseId = NO_LEASE) -> None:
        """Add an active task; the lease, if it is live, is bound to it and leaves it its slot."""
        seat = self.seats.get(AccountId(task.account_id))
        if seat is None:
            return
        active = self.tasks[TaskId(task.task_id)] = ActiveTask(task, self._next())
        seat.tasks.add(active.id)
        held = self.leases.get(lease_id)
        if held is not None and not held.ending:
            if earlier := self.tasks.get(held.task_id):
                earlier.lease_id, earlier.idle_since = NO_LEASE, self._next()
            held.task_id = active.id
            active.lease_id = lease_id
            seat.unbound.discard(lease_id)

    def leave(self, task_id: TaskId) -> ActiveTask | None:
        """Take a task away: its slot is free. A lease on it stays until it is ended."""
        active = self.tasks.pop(task_id, None)
        if active is not None and (seat := self.seats.get(active.account_id)):
            seat.tasks.discard(task_id)
        return active

    def cooled_until(self, account_id: AccountId, upstream_model_id: str = "") -> float:
        """Return the moment from which no cooldown covers the account (and the model), 0 for now."""
        if not self.coolings:
            return 0.0
        scope = CooldownScope
        keys: list[CooldownKey] = [
            (PLATFORM, scope.COOLDOWN_SCOPE_UPSTREAM, ""),
            (account_id, scope.COOLDOWN_SCOPE_ACCOUNT, ""),
        ]
        if upstream_model_id:
            keys.append((account_id, scope.COOLDOWN_SCOPE_ACCOUNT_MODEL, upstream_model_id))
        return max((self.coolings[key].until for key in keys if key in self.coolings), default=0.0)

    def moments(self) -> Iterator[float]:
        """Yield every moment at which something on the board changes by itself; some are over."""
        yield from (held.deadline for held in self.leases.values() if not held.ending)
        yield from (cooling.until for cooling in self.coolings.values())
        yield from (active.evict_after for active in self.tasks.values())
        yield from (seat.login_after for seat in self.seats.values() if seat.asleep)
