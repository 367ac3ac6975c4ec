"""Brings the board up to the ledger's books without undoing what changed here while they were read. PURE.

Of our own leases the board knows more than the books (one is being granted, one ended): of these the books
only say that one is gone. Of all else the books are the truth, but for what was touched here meanwhile.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.board import Board, Touch
from server.pool.ledger import Books, Cold, Holding, Work
from server.pool.pieces import NO_TASK, PLATFORM, Cooling, Held
from server.pool.terms import Terms


@dataclass(slots=True)
class Merged:
    """What a reading brought: accounts whose record changed, those that are gone, our leases that are lost,
    the cooldowns that are over, and the accounts that are to be read again.
    """

    changed: list[AccountId] = field(default_factory=list)
    removed: list[AccountId] = field(default_factory=list)
    lost: list[Held] = field(default_factory=list)
    over: list[Cooling] = field(default_factory=list)
    again: set[AccountId] = field(default_factory=set)


class Reading:
    """A reading of the books of some accounts (None: all), from before it is asked for until it is merged.

    `began` is a moment before that, of the board's clock; `replica` our own name.
    """

    def __init__(
        self, board: Board, terms: Terms, accounts: Collection[AccountId] | None, replica: str, began: float
    ) -> None:
        self._board = board
        self._terms = terms
        self._accounts = accounts
        self._replica = replica
        self._began = began
        self._touched: set[Touch] = set()
        board.touched = self._touched
        # What the ledger has told us that it has. A grant that is under way it may not have yet.
        self._recorded = [
            held.id
            for held in board.leases.values()
            if held.lease.token and not held.foreign and self._covers(held.account_id)
        ]
        self._result = Merged()

    def _covers(self, account_id: AccountId) -> bool:
        return self._accounts is None or account_id in self._accounts

    def _is_old(self, thing: Touch, account_id: AccountId) -> bool:
        """Tell whether the books may be older than the board in this thing; then they are read again."""
        if thing in self._touched:
            self._result.again.add(account_id)
            return True
        return False

    def give_up(self) -> None:
        """The books could not be read."""
        self._board.touched = None

    def merge(self, books: Books, now: float) -> Merged:
        """Bring the board up to the books, which were read before `now`."""
        self._board.touched = None
        self._members(books.members)
        self._cooldowns(books.cooldowns, now)
        known = [work for work in books.tasks if AccountId(work.task.account_id) in self._board.seats]
        self._tasks(known)
        self._leases(books.leases, now)
        self._closed(books.closed, now)
        return self._result

    def _members(self, members: list[Member]) -> None:
        board, told = self._board, {member.account_id for member in members}
        for seat in list(board.seats.values()):
            gone = self._covers(seat.id) and seat.id not in told
            if gone and not self._is_old(("account", seat.id), seat.id):
                board.remove(seat.id)
                self._result.removed.append(seat.id)
        used = [(member.last_used_us, member.account_id) for member in members if self._member(member)]
        for _, account_id in sorted(used):
            board.used_now(board.seats[account_id])

    def _member(self, member: Member) -> bool:
        """Take an account's record over; tell whether it was used since, here or elsewhere."""
        if self._is_old(("account", member.account_id), member.account_id):
            return False
        seat = self._board.seats.get(member.account_id)
        used_us = seat.used_us if seat is not None else 0
        if seat is None or seat.member.version != member.version:
            self._result.changed.append(member.account_id)
        if seat is None or seat.member != member:
            self._board.put(member)
        return member.last_used_us > used_us

    def _cooldowns(self, cooldowns: list[Cold], now: float) -> None:
        board, told = self._board, set[Touch]()
        for cold in cooldowns:
            cooling = Cooling(cold.account_id, cold.cooldown, now + cold.left)
            told.add(cooling.key)
            known = board.coolings.get(cooling.key)
            if known is not None and known.cooldown == cold.cooldown:
                continue
            if not self._is_old(cooling.key, cold.account_id):
                board.cool(cooling)
        for key, cooling in list(board.coolings.items()):
            covered = cooling.account_id == PLATFORM or self._covers(cooling.account_id)
            gone = covered and key not in told and cooling.until > now
            if gone and not self._is_old(key, cooling.account_id):
                del board.coolings[key]
                self._result.over.append(cooling)

    def _tasks(self, tasks: list[Work]) -> None:
        board, told = self._board, set[str]()
        for work in tasks:
            told.add(work.task.task_id)
            account_id = AccountId(work.task.account_id)
            if self._is_old(("task", work.task.task_id), account_id):
                continue
            active = board.tasks.get(TaskId(work.task.task_id))
            if active is None:
                board.enter(work.task, busy=work.busy)
            else:
                active.renew(work.task)
                active.busy = work.busy
        board.sort_tasks()
        for active in list(board.tasks.values()):
            gone = self._covers(active.account_id) and active.id not in told
            if gone and not self._is_old(("task", active.id), active.account_id):
                board.leave(active.id)

    def _leases(self, holdings: list[Holding], now: float) -> None:
        """Take over other replicas' leases as they are; of ours, see to those that are gone or renewed."""
        board = self._board
        told = {holding.lease.lease_id: holding for holding in holdings}
        for held in [held for held in board.leases.values() if self._covers(held.account_id)]:
            holding = told.get(held.id)
            if held.foreign:
                if holding is None or holding.replica == self._replica:
                    board.let_go(held.id)
            elif held.id in self._recorded and holding is not None and holding.replica != self._replica:
                board.let_go(held.id)  # its caller took it to that replica
            elif held.id in self._recorded and holding is None and not held.ending:
                board.let_go(held.id)
                self._result.lost.append(held)
        for holding in holdings:
            if AccountId(holding.lease.account_id) not in board.seats:
                continue
            if holding.replica == self._replica:
                self._own(holding, now)
            else:
                self._foreign(holding, now)

    def _own(self, holding: Holding, now: float) -> None:
        """Bind our lease to the task that the books say; mind what its caller did to it elsewhere."""
        board = self._board
        held = board.leases.get(LeaseId(holding.lease.lease_id))
        if held is None or held.ending:
            return
        active = board.tasks.get(holding.task_id)
        if active is not None and held.task_id in (NO_TASK, active.id):
            held.task_id, active.lease_id = active.id, held.id
            board.seats[held.account_id].unbound.discard(held.id)
        if holding.left <= 0:  # for good: what has lapsed is not renewed
            held.lose(now + holding.reclaimable if held.claimed is not None else now)
            return
        deadline = self._began + holding.left
        if deadline > held.deadline and not held.kept:
            held.extend(deadline, self._began + self._terms.belief(holding.left))

    def _foreign(self, holding: Holding, now: float) -> None:
        board = self._board
        held = Held(holding.lease, holding.task_id, now + holding.reclaimable, foreign=True)
        held.fence.until = now + holding.left
        known = board.leases.get(held.id)
        if known is not None and not known.foreign:  # we took it over meanwhile
            self._result.again.add(held.account_id)
            return
        board.leases[held.id] = held
        unbound = board.seats[held.account_id].unbound
        if held.exclusive and not held.task_id:
            unbound.add(held.id)
        else:
            unbound.discard(held.id)
        active = board.tasks.get(held.task_id)
        if active is not None and active.lease_id not in board.leases:
            active.lease_id = held.id

    def _closed(self, closed: list[tuple[AccountId, float]], now: float) -> None:
        for seat in self._board.seats.values():
            if self._covers(seat.id) and not self._is_old(("closed", seat.id), seat.id):
                seat.closed = [now + left for account_id, left in closed if account_id == seat.id]
