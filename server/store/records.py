"""What the ledger's operations do to a SQLite database, each inside its caller's transaction.

The moments of the ledger's clock are read here, after the transaction has the lock: however long it waited, a
lease is given its whole time.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from typing import Final

from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.ledger import Books
from server.pool.treatment import COOLDOWN_CAP
from server.store import rows
from server.store.clock import clock_us
from server.store.keyring import KeyRing
from server.store.rows import Parameters
from server.store.seal import Key
from server.store.sqlite_statements import Statements

Accounts = frozenset[AccountId]
NONE: Final[Accounts] = frozenset()


class Records:
    """The statements of a ledger. `reclaim` is how long a lapsed lease keeps its slot, in seconds.

    `default_slots` is how many slots an account has whose record does not say; `ring` opens its secrets.
    """

    def __init__(
        self, sql: Statements, replica: str, ring: KeyRing, default_slots: int, reclaim: float
    ) -> None:
        self._sql = sql
        self._replica = replica
        self._ring = ring
        self._default_slots = default_slots
        self._reclaim_us = int(reclaim * 1e6)

    def _run(self, db: sqlite3.Connection, name: str, parameters: Parameters) -> sqlite3.Cursor:
        statement = self._sql[name]
        return db.execute(statement.text, statement.values(parameters))

    def _one(self, db: sqlite3.Connection, name: str, parameters: Parameters) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._run(db, name, parameters).fetchone()
        return found

    def begin_boot(self, db: sqlite3.Connection, boot: str, now_us: int) -> None:
        """Make the records of an earlier boot this one's; give every account its slots."""
        found = self._one(db, "boot_id", {})
        if found is None or found["value"] != boot:
            clock = clock_us()
            cap = int(COOLDOWN_CAP * 1e6)
            self._run(db, "reclaim_all_leases", {"now_us": now_us})
            self._run(db, "clear_slots", {})
            self._run(db, "clear_logins", {})
            self._run(db, "clear_replicas", {})
            self._run(db, "date_cooldowns_anew", {"clock": clock, "now_us": now_us, "cap": cap})
            self._run(db, "put_boot_id", {"boot_id": boot})
        for row in self._run(db, "account_ids", {}).fetchall():
            self._fit_slots(db, row["account_id"])

    def admit(self, db: sqlite3.Connection) -> None:
        """Prove that the ring opens the database; seal a new one. Raises SealError."""
        found = self._one(db, "check", {})
        check = self._ring.admit(None if found is None else found["value"])
        if found is None:
            self._run(db, "put_check", {"value": check})

    def sealing_key(self, db: sqlite3.Connection) -> Key:
        """Return the key that seals now, whatever another process made of it. Raises SealError."""
        found = self._one(db, "check", {})
        assert found is not None, "a database is admitted before it is used"
        return self._ring.sealing(found["value"])

    def reseal(self, db: sqlite3.Connection, key: Key) -> int:
        """Seal all secrets with another key, which seals from then on. Raises SealError."""
        accounts = self._run(db, "sealed_accounts", {}).fetchall()
        for row in accounts:
            self._run(db, "reseal_account", rows.resealed(row, self._ring, key))
        self._run(db, "put_check", {"value": self._ring.check_of(key)})
        return len(accounts)

    def books(self, db: sqlite3.Connection, accounts: Collection[AccountId] | None) -> Books:
        """Read the books of these accounts, or of all."""
        clock = clock_us()
        if accounts is None:
            accounts = [row["account_id"] for row in self._run(db, "account_ids", {})]
        which = {"accounts": json.dumps(list(accounts)), "clock": clock}
        return Books(
            members=[rows.member(row, self._ring) for row in self._run(db, "books_accounts", which)],
            leases=[
                rows.holding(row, clock, self._reclaim_us) for row in self._run(db, "books_leases", which)
            ],
            tasks=[rows.work(row) for row in self._run(db, "books_tasks", which)],
            cooldowns=[rows.cold(row, clock) for row in self._run(db, "books_cooldowns", which)],
            closed=[
                (AccountId(row["account_id"]), (row["closed_until"] - clock) / 1e6)
                for row in self._run(db, "books_closed", which)
            ],
        )

    # Accounts.

    def add_account(self, db: sqlite3.Connection, member: Member) -> bool:
        """Add an account with its slots; False when its user has one already."""
        try:
            self._run(db, "add_account", rows.of_member(member, self.sealing_key(db)))
        except sqlite3.IntegrityError:
            return False
        self._fit_slots(db, member.account_id)
        return True

    def put_account(self, db: sqlite3.Connection, member: Member) -> bool:
        """Write an account that nobody changed since it was read; False otherwise, or for a user's second."""
        try:
            if self._one(db, "change_account", rows.of_member(member, self.sealing_key(db))) is None:
                return False
        except sqlite3.IntegrityError:
            return False
        self._fit_slots(db, member.account_id)
        return True

    def _fit_slots(self, db: sqlite3.Connection, account_id: AccountId) -> None:
        which = {"account_id": account_id, "default_slots": self._default_slots}
        self._run(db, "add_slots", which)
        self._run(db, "drop_slots", which)

    def remove_account(self, db: sqlite3.Connection, account_id: AccountId, now_us: int) -> None:
        """Forget an account and all that it has."""
        which: Parameters = {"account_id": account_id, "now_us": now_us}
        for name in (
            "end_leases_of_account",
            "end_tasks_of_account",
            "drop_cooldowns_of_account",
            "delete_slots",
            "delete_account",
        ):
            self._run(db, name, which)

    def claim_login(self, db: sqlite3.Connection, account_id: AccountId, seconds: float) -> bool:
        """Take the right to log an account in."""
        clock = clock_us()
        which = {"account_id": account_id, "clock": clock, "until": clock + int(seconds * 1e6)}
        return self._one(db, "claim_login", which) is not None

    def cool(self, db: sqlite3.Connection, account_id: AccountId, cooldown: Cooldown, seconds: float) -> None:
        """Put a cooldown in place of the one of the same scope and model."""
        until = clock_us() + int(seconds * 1e6)
        self._run(db, "put_cooldown", {**rows.of_cooldown(account_id, cooldown), "until": until})

    def uncool(self, db: sqlite3.Connection, account_id: AccountId, cooldown: Cooldown) -> bool:
        """Drop a cooldown; False where there is none."""
        return self._one(db, "drop_cooldown", rows.of_cooldown(account_id, cooldown)) is not None

    # Leases.

    def grant(
        self, db: sqlite3.Connection, lease: Lease, task_id: TaskId, ttl: float, now_us: int
    ) -> int | None:
        """Grant a lease where its slot is free and return its token."""
        clock = clock_us()
        asked = rows.of_lease(lease, task_id, now_us)
        asked.update(
            replica=self._replica,
            default_slots=self._default_slots,
            clock=clock,
            until=clock + int(ttl * 1e6),
        )
        slot_of_its_own = "slot_at_rest" if task_id else "free_slot"
        found = self._one(db, slot_of_its_own if lease.mode == LEASE_MODE_EXCLUSIVE else "no_slot", asked)
        if found is None:
            return None
        asked.update(found)
        if found["slot"]:
            self._run(db, "take_slot", asked)
        self._run(db, "take_token", asked)
        self._run(db, "add_lease", asked)
        token: int = found["token"]
        return token

    def renew(
        self, db: sqlite3.Connection, leases: Mapping[LeaseId, float]
    ) -> tuple[frozenset[LeaseId], Accounts]:
        """Give the leases that have not lapsed more time; return them, and whose are other replicas'."""
        clock = clock_us()
        renewed, elsewhere = set[LeaseId](), set[AccountId]()
        for lease_id, seconds in leases.items():
            asked = {"lease_id": lease_id, "clock": clock, "until": clock + int(seconds * 1e6)}
            row = self._one(db, "renew_lease", asked)
            if row is not None:
                renewed.add(lease_id)
                if row["replica"] != self._replica:
                    elsewhere.add(AccountId(row["account_id"]))
        return frozenset(renewed), frozenset(elsewhere)

    def grant_tasks(
        self, db: sqlite3.Connection, leases: Mapping[TaskId, Lease], ttl: float, now_us: int
    ) -> dict[TaskId, int]:
        """Grant leases on the tasks that no lease is on and return their tokens."""
        granted = (
            (task_id, self.grant(db, lease, task_id, ttl, now_us)) for task_id, lease in leases.items()
        )
        return {task_id: token for task_id, token in granted if token is not None}

    def claim(
        self, db: sqlite3.Connection, lease_id: LeaseId, task_id: TaskId, turn_id: str
    ) -> tuple[AccountId, float] | None:
        """Take a caller's lease for a turn; return its account and the seconds that it has left."""
        clock = clock_us()
        asked = {"lease_id": lease_id, "task_id": task_id, "turn_id": turn_id}
        row = self._one(db, "claim_lease", {**asked, "replica": self._replica, "clock": clock})
        return None if row is None else (AccountId(row["account_id"]), (row["until"] - clock) / 1e6)

    def unclaim(self, db: sqlite3.Connection, lease_id: LeaseId, turn_id: str, now_us: int) -> None:
        """Give a claimed lease back to its caller; its task rests."""
        left = self._one(db, "unclaim_lease", {"lease_id": lease_id, "turn_id": turn_id})
        if left is not None:
            self._run(db, "rest_task", {"task_id": left["task_id"], "now_us": now_us})

    def release(self, db: sqlite3.Connection, lease_id: LeaseId, now_us: int) -> tuple[bool, Accounts]:
        """End a lease for its caller, or let it lapse for the turn on it; the first says which."""
        asked = {"lease_id": lease_id, "replica": self._replica, "clock": clock_us(), "now_us": now_us}
        given = self._one(db, "release_lease", asked)
        if given is None:
            return True, NONE
        if given["end_us"] is not None:
            self._leave_slot(db, given, lease_id)
            self._run(db, "rest_task", {"task_id": given["task_id"], "now_us": now_us})
        return given["end_us"] is not None, frozenset({AccountId(given["account_id"])})

    def end_lease(
        self,
        db: sqlite3.Connection,
        lease_id: LeaseId,
        now_us: int,
        ended_task: TaskId,
        close_slot: float,
    ) -> Accounts:
        """End a lease in order, and a task with it; return whose slots that changed."""
        changed = self.end_task(db, ended_task, now_us) if ended_task else NONE
        ended = self._one(db, "live_lease", {"lease_id": lease_id})
        if ended is None:
            return changed
        self._run(db, "end_lease", {"lease_id": lease_id})
        if not ended_task or ended["task_id"] != ended_task:  # else its slot is free, and its task has ended
            if ended["slot"]:
                self._leave_slot(db, ended, lease_id, close_slot)
            if ended["task_id"]:
                self._run(db, "rest_task", {"task_id": ended["task_id"], "now_us": now_us})
        return changed | {AccountId(ended["account_id"])} if ended["slot"] else changed

    def end_tasks(self, db: sqlite3.Connection, leases: Mapping[TaskId, LeaseId], now_us: int) -> Accounts:
        """End tasks and the leases on them in order; return whose slots that changed."""
        ended = (self.end_lease(db, lease_id, now_us, task_id, 0.0) for task_id, lease_id in leases.items())
        return NONE.union(*ended)

    def forget_leases(self, db: sqlite3.Connection, before_us: int) -> None:
        """Forget the leases that ended before a moment."""
        self._run(db, "forget_leases", {"before_us": before_us})

    def lapse(self, db: sqlite3.Connection, lease_id: LeaseId, now_us: int) -> tuple[bool, Accounts]:
        """End a lease of this replica if it has lapsed. The first is False when it has time left."""
        asked = {"lease_id": lease_id, "replica": self._replica, "now_us": now_us, "clock": clock_us()}
        ended = self._one(db, "lapse_lease", asked)
        if ended is not None:
            self._leave_slot(db, ended, lease_id)
            return True, frozenset({AccountId(ended["account_id"])})
        return self._one(db, "live_lease", {"lease_id": lease_id}) is None, NONE

    def _leave_slot(
        self, db: sqlite3.Connection, ended: sqlite3.Row, lease_id: LeaseId, close_slot: float = 0.0
    ) -> None:
        which = {
            "account_id": ended["account_id"],
            "slot": ended["slot"],
            "lease_id": lease_id,
            "closed_until": clock_us() + int(close_slot * 1e6) if close_slot > 0 else 0,
        }
        self._run(db, "leave_slot", which)

    def reclaim(self, db: sqlite3.Connection, now_us: int, is_dead: Callable[[str], bool]) -> Accounts:
        """End the leases that nobody can hold any more and drop old cooldowns; return whose they were."""
        clock = clock_us()
        holders = [row["replica"] for row in self._run(db, "holding_replicas", {}).fetchall()]
        dead: list[str | None] = [name for name in holders if name != self._replica and is_dead(name)]
        changed: set[AccountId] = set()
        for replica in [*dead, None]:
            asked = {"replica": replica, "lapsed_before": clock - self._reclaim_us, "now_us": now_us}
            for row in self._run(db, "reclaim_leases", asked).fetchall():
                self._leave_slot(db, row, row["lease_id"])
                changed.add(AccountId(row["account_id"]))
        over = self._run(db, "drop_old_cooldowns", {"clock": clock}).fetchall()
        return frozenset(changed | {AccountId(row["account_id"]) for row in over})

    # Tasks.

    def record_task(self, db: sqlite3.Connection, task: Task, lease_id: LeaseId) -> bool:
        """Record a task in its lease's slot, else in another; tell whether the lease was there for it."""
        asked: Parameters = {**rows.of_task(task), "lease_id": lease_id, "busy": 1, "end_us": None}
        lease = self._one(db, "live_lease", asked)
        bound = lease is not None and lease["slot"] > 0 and not lease["task_id"]
        if lease is not None and bound:
            asked.update(account_id=lease["account_id"], slot=lease["slot"])
            self._run(db, "bind_lease", asked)
            self._run(db, "former_slot_free", asked)
            self._run(db, "slot_to_task", asked)
        else:
            asked["slot"] = self._slot_without_lease(db, asked)
            if not asked["slot"]:
                asked.update(busy=0, end_us=asked["last_used_us"])
        self._run(db, "put_task", asked)
        return bound

    def _slot_without_lease(self, db: sqlite3.Connection, task: Parameters) -> int:
        """Give a task a slot, if it has none; 0 where its account is forgotten."""
        for name in ("slot_of_task", "free_slot_to_task", "extra_slot_to_task"):
            found = self._one(db, name, task)
            if found is not None:
                return int(found["number"])
        return 0

    def end_task(self, db: sqlite3.Connection, task_id: TaskId, now_us: int) -> Accounts:
        """End a task; return whose slot is free now."""
        which: Parameters = {"task_id": task_id, "now_us": now_us}
        active = self._one(db, "active_task", which)
        if active is None:
            return NONE
        which.update(active)
        self._run(db, "slot_of_task_free", which)
        self._run(db, "end_task", which)
        return frozenset({AccountId(active["account_id"])})
