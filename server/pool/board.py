"""The pool's state in memory: the mirror of the ledger that decisions are made on. PURE.

An account's slots in use are its active tasks and its live exclusive leases that are not bound to a task; of
the others some may be closed for a while. Moments are those of pieces.py.

Leases of other replicas stand on the board too (`foreign`): they take slots, and are never ended here.
"""

from collections.abc import Iterator

from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.pieces import NO_LEASE, PLATFORM_KEY, ActiveTask, Cooling, Held, Seat
from server.pool.probes import CooldownKey, Probes

Touch = tuple[str, str] | CooldownKey
"""A thing that can change: ("account", id), ("task", id), ("closed", account's id) or a cooldown's key."""


class Board:
    """Who has what.

    `tasks` are in the order of their last use: idle ones are stopped in that order. `stopping` are those that
    this replica stops now. While the books are read, `touched` gathers what changes here meanwhile (see
    merge.py).
    """

    def __init__(self, default_slots: int) -> None:
        self.default_slots = default_slots
        self.seats: dict[AccountId, Seat] = {}
        self.leases: dict[LeaseId, Held] = {}
        self.tasks: dict[TaskId, ActiveTask] = {}
        self.stopping: dict[TaskId, ActiveTask] = {}
        self.coolings: dict[CooldownKey, Cooling] = {}
        self.probes = Probes()
        self.touched: set[Touch] | None = None
        self._count = 0

    def touch(self, thing: Touch) -> None:
        """Take note that a thing changed here, for a reading of the books that is under way."""
        if self.touched is not None:
            self.touched.add(thing)

    def put(self, member: Member) -> Seat:
        """Add an account, or replace its record."""
        slots = member.slots or self.default_slots
        seat = self.seats.get(member.account_id)
        if seat is None:
            seat = self.seats[member.account_id] = Seat(member, slots, turn=0)
        else:
            seat.member, seat.slots = member, slots
        seat.used_us = max(seat.used_us, member.last_used_us)
        seat.usable = member.enabled and member.has_session
        seat.asleep = member.enabled and not member.has_session and member.can_log_in
        self.touch(("account", member.account_id))
        return seat

    def user(self, user_id: str) -> Seat | None:
        """Return the account of a user of the platform."""
        return next(
            (seat for seat in self.seats.values() if user_id and seat.member.user_id == user_id), None
        )

    def used_now(self, seat: Seat) -> None:
        """Put an account behind all others in the order of last use."""
        self._count += 1
        seat.turn = self._count

    def used_at(self, account_id: AccountId, now_us: int) -> None:
        """Take note that an account was granted (microseconds since 1970); the ledger has it already."""
        if seat := self.seats.get(account_id):
            seat.used_us = now_us

    def remove(self, account_id: AccountId) -> bool:
        """Take an account away, with its leases, tasks and cooldowns; tell whether it was still there."""
        if account_id not in self.seats:
            return False
        for held in [held for held in self.leases.values() if held.account_id == account_id]:
            self.let_go(held.id)
        for active in [active for active in self.tasks.values() if active.account_id == account_id]:
            self.leave(active.id)
        for key in [key for key in {**self.coolings, **self.probes} if key[0] == account_id]:
            self.coolings.pop(key, None)
            self.probes.pop(key, None)
        del self.seats[account_id]
        self.touch(("account", account_id))
        return True

    def hold(self, held: Held) -> None:
        """Put a lease on the board: it takes a slot, or the task that it is bound to."""
        self.leases[held.id] = held
        if active := self.tasks.get(held.task_id):
            active.lease_id = held.id
            self.touch(("task", held.task_id))
        elif held.exclusive and not held.task_id:
            self.seats[held.account_id].unbound.add(held.id)

    def let_go(self, lease_id: LeaseId) -> Held | None:
        """Take a lease away: nothing more is sent under it. Its task stays as busy as it is."""
        held = self.leases.pop(lease_id, None)
        if held is None:
            return None
        for key in self.probes.of(lease_id):
            self.probes.told_nothing(key, cooling=key in self.coolings)
        if seat := self.seats.get(held.account_id):
            seat.unbound.discard(lease_id)
        active = self.tasks.get(held.task_id)
        if active is not None and active.lease_id == lease_id:
            active.lease_id = NO_LEASE
            self.touch(("task", active.id))
        held.fence.fall()
        return held

    def use(self, active: ActiveTask, now_us: int) -> None:
        """Put a task behind all others in the order of last use."""
        active.used_us = now_us
        del self.tasks[active.id]
        self.tasks[active.id] = active
        self.touch(("task", active.id))

    def sort_tasks(self) -> None:
        """Put the tasks in the order of last use again, where the books told of others' use of them."""
        self.tasks = dict(sorted(self.tasks.items(), key=lambda item: item[1].used_us))

    def rest(self, task_id: TaskId, now_us: int) -> None:
        """Take note that no turn runs on a task any more."""
        if active := self.tasks.get(task_id):
            active.busy = False
            self.use(active, now_us)

    def enter(self, task: Task, lease_id: LeaseId = NO_LEASE, *, busy: bool = True) -> None:
        """Add an active task; the lease, if it is live, is bound to it and leaves it its slot."""
        seat = self.seats.get(AccountId(task.account_id))
        if seat is None:
            return
        active = self.tasks[TaskId(task.task_id)] = ActiveTask(task, busy)
        seat.tasks.add(active.id)
        self.touch(("task", active.id))
        held = self.leases.get(lease_id)
        if held is not None and not held.ending:
            held.task_id = active.id
            active.lease_id = lease_id
            seat.unbound.discard(lease_id)

    def leave(self, task_id: TaskId) -> ActiveTask | None:
        """Take a task away: its slot is free. A lease on it stays until it is ended."""
        self.touch(("task", task_id))
        active = self.tasks.pop(task_id, None)
        self.stopping.pop(task_id, None)
        if active is not None and (seat := self.seats.get(active.account_id)):
            seat.tasks.discard(task_id)
        return active

    def idle(self, now: float) -> Iterator[ActiveTask]:
        """Yield the tasks that may be stopped, the one used longest ago first."""
        return (active for active in self.tasks.values() if active.idle and active.evict_after <= now)

    def stop(self, active: ActiveTask) -> None:
        """Take note that a task is being stopped: it is nobody's to use."""
        active.evicting = True
        self.stopping[active.id] = active

    def stopped(self, active: ActiveTask) -> None:
        """Take note that a task is not being stopped any more: it has ended, or could not be."""
        active.evicting = False
        self.stopping.pop(active.id, None)

    def close_slot(self, account_id: AccountId, opens: float) -> None:
        """Close a free slot of an account until a moment."""
        if seat := self.seats.get(account_id):
            seat.closed.append(opens)
            self.touch(("closed", account_id))

    def making_room(self, seat: Seat) -> bool:
        """Tell whether a task of an account is being stopped."""
        return any(self._is_stopped(self.tasks[task_id]) for task_id in seat.tasks)

    def _is_stopped(self, active: ActiveTask) -> bool:
        held = self.leases.get(active.lease_id)
        return active.evicting or (held is not None and held.stops)

    def withhold(self, held: Held) -> None:
        """Take note that the platform refused the slot of a lease: it will refuse those that are free, too.

        What comes free while room is made is granted.
        """
        if seat := self.seats.get(held.account_id):
            seat.withheld = max(seat.withheld, seat.slots - seat.used + 1)

    def offer_withheld(self) -> None:
        """Grant what was withheld again, where no task is being stopped any more: nobody knows better."""
        for seat in self.seats.values():
            if seat.withheld and not self.making_room(seat):
                seat.withheld = 0

    def cool(self, cooling: Cooling) -> None:
        """Put a cooldown in place of the one that covers the same; no turn probes it yet."""
        self.coolings[cooling.key] = cooling
        self.probes.pop(cooling.key, None)
        self.touch(cooling.key)

    def warm(self, key: CooldownKey) -> Cooling | None:
        """Take a cooldown away."""
        self.touch(key)
        return self.coolings.pop(key, None)

    def cooled_until(self, account_id: AccountId, upstream_model_id: str = "") -> float:
        """Return the moment from which no cooldown covers the account (and the model), 0 for now."""
        if not self.coolings:
            return 0.0
        keys = _covering(account_id, upstream_model_id)
        return max((self.coolings[key].until for key in keys if key in self.coolings), default=0.0)

    def opens(self, account_id: AccountId, upstream_model_id: str = "") -> float:
        """Return the moment from which a turn may go through all cooldowns, as a probe or after their end."""
        if not self.coolings and not self.probes:
            return 0.0
        return max(map(self._opens, _covering(account_id, upstream_model_id)))

    def worth_waiting(self, account_id: AccountId, upstream_model_id: str = "") -> float:
        """Return the moment from which a turn may hope to go through: half-open is no obstacle."""
        if not self.coolings:
            return 0.0
        keys = _covering(account_id, upstream_model_id)
        return max((self._opens(key) for key in keys if key in self.coolings), default=0.0)

    def _opens(self, key: CooldownKey) -> float:
        cooling, probe = self.coolings.get(key), self.probes.get(key)
        if cooling is None:
            return 0.0 if probe is None else probe.after
        return cooling.until if probe is None else min(cooling.until, probe.after)

    def let_through(self, held: Held, upstream_model_id: str, now: float) -> None:
        """Take note that a turn was granted: where it goes through cooldowns it is their probe."""
        if self.probes:
            for key in _covering(held.account_id, upstream_model_id):
                cooling = self.coolings.get(key)
                in_force = cooling is not None and cooling.until > now
                self.probes.let_through(key, held.id, now, cooling=in_force)

    def moments(self) -> Iterator[float]:
        """Yield every moment at which something on the board changes by itself; some are over."""
        for held in self.leases.values():
            if not held.ending:
                yield held.deadline
                if not held.foreign and not held.fence.fallen and held.fence.until > 0:
                    yield held.fence.until
        for seat in self.seats.values():
            yield from seat.closed
        yield from (cooling.until for cooling in self.coolings.values())
        yield from (probe.after for probe in self.probes.values())
        yield from (active.evict_after for active in self.tasks.values())
        yield from (seat.login_after for seat in self.seats.values() if seat.asleep)


def _covering(account_id: AccountId, upstream_model_id: str) -> list[CooldownKey]:
    """Return what may cover a turn on an account, and on the model where one is named."""
    keys: list[CooldownKey] = [PLATFORM_KEY, (account_id, CooldownScope.COOLDOWN_SCOPE_ACCOUNT, "")]
    if upstream_model_id:
        keys.append((account_id, CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL, upstream_model_id))
    return keys
