"""Puts the parts of the pool together, and sees to what follows when something has changed in one of them."""

import logging
from collections.abc import Callable, Collection

from howler.pool.v1.pool_event_pb2 import PoolEvent

from server.pool.account import AccountId, TaskId
from server.pool.board import Board
from server.pool.chores import Alarm, Chores
from server.pool.desk import Desk
from server.pool.granting import Granting
from server.pool.health import Health
from server.pool.leases import Leases
from server.pool.ledger import Ledger
from server.pool.merge import Merged
from server.pool.mirror import Mirror
from server.pool.pieces import ActiveTask
from server.pool.queue import Queue
from server.pool.sessions import Authenticator
from server.pool.stops import NEEDED, Evict, Stops
from server.pool.tasks import Tasks
from server.pool.terms import Terms
from server.pool.watchers import Watchers

_log = logging.getLogger(__name__)


class Attendant:
    """Told when a lease ended, when the books brought news, when an account or a cooldown changed.

    Tasks are stopped ahead of need, or because a turn was cut off on them, only while they are minded. The
    arguments are those of the pool.
    """

    def __init__(
        self,
        ledger: Ledger,
        authenticator: Authenticator,
        evict: Evict,
        terms: Terms,
        now: Callable[[], float],
        new_id: Callable[[str], str],
    ) -> None:
        board, chores = Board(terms.slots), Chores()
        self.desk = desk = Desk(
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
        self.queue = Queue(board, log_in=self._log_in, evict=self._make_room)
        self.health = Health(desk, authenticator, changed=self.changed)
        self.leases = Leases(desk, gone=self._gone)
        self.granting = Granting(desk, self.queue, self.health, self.leases)
        self.stops = Stops(desk, self.queue, self.leases, self.granting, evict)
        self.tasks = Tasks(desk, self.queue, self.health, self.stops)

    def _log_in(self, account_id: AccountId) -> None:
        self.health.logins.log_in(account_id)

    def _make_room(self, chosen: Collection[ActiveTask]) -> None:
        self.stops.start(chosen, NEEDED)

    def _gone(self, task_id: TaskId) -> None:
        """A lease ended: its slot may be wanted, its task may have been left in the middle of a turn."""
        self.queue.stir()
        self.tasks.keep_spare()
        if (active := self.desk.board.tasks.get(task_id)) and active.orphaned:
            self._stop_orphans()

    def _merged(self, merged: Merged) -> None:
        """The books brought news of other replicas."""
        for held in merged.lost:
            _log.warning("lease %s (%s) was lost: the ledger has it no more", held.id, held.lease.purpose)
            self.desk.tell(PoolEvent.POOL_EVENT_RELEASED, held.account_id)
        for account_id in merged.changed:
            self.desk.tell(PoolEvent.POOL_EVENT_CHANGED, account_id)
        for account_id in merged.removed:
            self.desk.tell(PoolEvent.POOL_EVENT_REMOVED, account_id)
        for cooling in merged.over:
            self.health.cooldowns.ended_elsewhere(cooling)
        self.changed()

    def changed(self) -> None:
        """An account or a cooldown changed: see to those who wait, to orphans, and to the alarm."""
        self._see_to(self.desk.now())

    def _ring(self) -> None:
        """A moment has come: see to what is over by now."""
        now = self.desk.now()
        self.leases.lapse(now)
        for seat in self.desk.board.seats.values():
            seat.closed = [opens for opens in seat.closed if opens > now]
        self.health.cooldowns.expire(now)
        self._see_to(now)

    def _see_to(self, now: float) -> None:
        """Do so where all that was over by `now` is off the board; what is over since rings the alarm."""
        self.desk.board.offer_withheld()
        self.health.logins.noticed()
        self._stop_orphans()
        self.tasks.keep_spare()
        self.queue.recheck()
        moments = (when for when in self.desk.board.moments() if when > now)
        self.desk.alarm.by(min(moments, default=float("inf")))

    def _stop_orphans(self) -> None:
        if self.tasks.minded:
            self.tasks.stop_orphans()
