"""What lies on the board: held leases, active tasks, seats (the accounts) and cooldowns. PURE.

Moments (`until`, `deadline`, `…_after`) are seconds of one monotonic clock, so that a step of the wall clock
neither ends a lease nor keeps a cooldown.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.fence import Fence
from server.pool.probes import CooldownKey

PLATFORM = AccountId("")
"""The account of a cooldown that covers the whole platform."""

PLATFORM_KEY: CooldownKey = (PLATFORM, CooldownScope.COOLDOWN_SCOPE_UPSTREAM, "")
"""What such a cooldown covers."""

STOPS: Final = "stop: "
"""How the purpose of a lease begins under which a task is stopped."""

NO_TASK = TaskId("")
NO_LEASE = LeaseId("")


@dataclass(slots=True)
class Held:
    """A lease that is live, or is being granted or ended.

    `deadline` is when it lapses, of a foreign one when its slot may be reclaimed; infinite until the ledger
    has it. `fence` is open while its holder may believe in it, of a foreign one until it lapses. `kept` says
    that the pool renews it, `claimed` is the fence of the turn that runs on it for the caller who holds it,
    `ending` is set from the moment it is being ended.
    """

    lease: Lease
    task_id: TaskId = NO_TASK
    deadline: float = math.inf
    fence: Fence = field(default_factory=Fence)
    kept: bool = False
    foreign: bool = False
    claimed: Fence | None = None
    ending: bool = False
    id: LeaseId = field(init=False)
    account_id: AccountId = field(init=False)

    def __post_init__(self) -> None:
        # Asked for at each step of a lease, where reading the message would tell.
        self.id, self.account_id = LeaseId(self.lease.lease_id), AccountId(self.lease.account_id)

    @property
    def exclusive(self) -> bool:
        """It is the right to run a turn."""
        return self.lease.mode == LEASE_MODE_EXCLUSIVE

    @property
    def stops(self) -> bool:
        """Its task is being stopped under it, by this replica or another."""
        return self.lease.purpose.startswith(STOPS)

    def extend(self, deadline: float, believed: float) -> None:
        """Let it last until `deadline`, and its holder believe in it until `believed`.

        A fence that has fallen is the one of a turn that is over; the next one gets another.
        """
        self.deadline = deadline
        if self.fence.fallen:
            self.fence = Fence()
        self.fence.until = believed

    def lose(self, deadline: float) -> None:
        """Take note that it has lapsed before its time: its caller gave it back while a turn runs on it.

        The turn has until `deadline` to end it.
        """
        self.deadline = min(self.deadline, deadline)
        self.fence.fall()


@dataclass(slots=True)
class ActiveTask:
    """An active task: idle while it is neither leased nor `busy`.

    `busy` says that a turn runs on it or, where no lease is on it, was left in the middle. While `evicting`
    it is being stopped; when that failed it is not tried again before `evict_after`. `used_us` is when it was
    used last, in microseconds since 1970.
    """

    task: Task
    busy: bool = False
    lease_id: LeaseId = NO_LEASE
    evicting: bool = False
    evict_after: float = 0.0
    id: TaskId = field(init=False)
    account_id: AccountId = field(init=False)
    used_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.renew(self.task)

    def renew(self, task: Task) -> None:
        """Take a record in place of the one that is there."""
        self.task = task
        # All idle tasks may be looked through for the one to stop: what is asked of each is at hand.
        self.id, self.account_id = TaskId(task.task_id), AccountId(task.account_id)
        self.used_us = task.last_used_time.ToMicroseconds()

    @property
    def idle(self) -> bool:
        """No turn uses it, and it is not being stopped."""
        return not (self.lease_id or self.busy or self.evicting)

    @property
    def orphaned(self) -> bool:
        """It was left in the middle of a turn, by a replica that died or lost its lease."""
        return self.busy and not self.lease_id and not self.evicting


@dataclass(slots=True)
class Seat:
    """An account on the board: what it has, and when it was granted last: `turn`, a count, and `used_us`, in
    microseconds since 1970 (0 for never), which its record may be behind.

    `closed` holds the moments at which slots open that are neither used nor to be used until then. `withheld`
    is how many the platform does not grant while an idle task is being stopped (Board.withhold).

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
    closed: list[float] = field(default_factory=list)
    withheld: int = 0
    used_us: int = 0
    logging_in: bool = False
    login_after: float = 0.0
    id: AccountId = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.member.account_id

    @property
    def used(self) -> int:
        """How many slots are in use."""
        return len(self.tasks) + len(self.unbound)

    def free(self, now: float) -> int:
        """Return how many slots are neither used nor closed nor withheld."""
        free = self.slots - len(self.tasks) - len(self.unbound)
        if self.closed or self.withheld:
            free -= max(self.withheld, sum(opens > now for opens in self.closed))
        return free


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
