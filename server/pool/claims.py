"""Turns on leases that callers hold: such a lease is claimed for a turn and given back after it."""

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease

from server.errors import ServiceError
from server.pool.account import LeaseId, TaskId
from server.pool.desk import Desk
from server.pool.fence import lost
from server.pool.leases import Leases, copied
from server.pool.pieces import Held

_E = ErrorReason


class Claims:
    """Which callers' leases a turn runs on. The ledger says so: one turn at a time, over all replicas."""

    def __init__(self, desk: Desk, leases: Leases) -> None:
        self._desk = desk
        self._leases = leases

    async def claim(self, lease_id: LeaseId, token: int, task_id: TaskId, turn_id: str) -> Lease:
        """Take a caller's exclusive lease for a turn: on a new task, or on the one that was made under it.

        Whichever replica answered for the lease, this one does from then on.
        Raises LEASE_LOST, LEASE_NOT_FOUND, INVALID_REQUEST for a shared lease, TASK_BUSY while a turn
        runs on it, UNSUPPORTED_VALUE where its slot is another task's.
        """
        held = await self._leases.live(lease_id, token)
        if not held.exclusive:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, "lease: a turn needs an exclusive lease")
        if held.claimed is not None:
            raise lost() if held.claimed.fallen else _busy()
        if task_id and task_id not in self._desk.board.tasks:
            await self._desk.mirror.refresh({held.account_id})  # another replica made it
        asked_at = self._desk.now()
        try:
            left = await self._desk.ledger.claim(lease_id, task_id, turn_id)
        except BaseException:  # recorded or not: it is given back behind the claim
            self._desk.chores.spawn(self._desk.ledger.unclaim(lease_id, turn_id, self._desk.now_us()))
            raise
        if left is None:
            raise await self._refusal(held, task_id)
        taken = self._take_over(held, task_id)
        if taken is None:
            raise lost()
        self._leases.extend(taken, asked_at, left)
        taken.claimed = taken.fence
        return copied(taken.lease)

    def _take_over(self, held: Held, task_id: TaskId) -> Held | None:
        """Return the lease as one of ours, which the ledger says that it is; `held` is what we knew of it.

        None where its account was forgotten meanwhile. The books are read again: it may have been given back
        since at another replica.
        """
        board = self._desk.board
        found = board.leases.get(held.id)
        if found is not None and not found.foreign and not found.fence.fallen:
            return found
        if held.account_id not in board.seats:
            return None
        self._desk.mirror.heard({held.account_id})
        board.let_go(held.id)
        taken = Held(copied(held.lease), task_id)
        board.hold(taken)
        return taken

    async def _refusal(self, held: Held, task_id: TaskId) -> ServiceError:
        """Return why the ledger did not give a lease to a turn."""
        board = self._desk.board
        await self._desk.mirror.refresh({held.account_id})
        found = board.leases.get(held.id)
        if found is None or found.ending or not found.fence.holds:
            return lost()
        active = board.tasks.get(found.task_id)
        if found.task_id == task_id or (active is not None and active.busy):
            return _busy()
        return ServiceError(
            _E.ERROR_REASON_UNSUPPORTED_VALUE,
            "lease: its slot went to the task made under it; name that task, or acquire another lease"
            if found.task_id
            else "lease: a task that exists holds its slot itself; leave the lease out",
        )

    async def unclaim(self, lease_id: LeaseId, turn_id: str) -> None:
        """Give a claimed lease back to its caller, whose it stays; no turn runs on its task any more.

        Where the turn was cut off, for the lease was believed in no longer, it ends with the turn, though its
        caller has renewed it since: what is left on the platform is no one's to go on with.
        """
        held = self._desk.board.leases.get(lease_id)
        if held is None or held.claimed is None or held.ending:
            return
        if held.claimed.fallen:
            await self._leases.give_up(held)
            return
        now_us = self._desk.now_us()
        await self._desk.ledger.unclaim(lease_id, turn_id, now_us)
        self._desk.board.rest(held.task_id, now_us)
        fence, held.claimed = held.claimed, None
        if fence.fallen:  # its caller gave it back meanwhile
            await self._leases.give_up(held)


def _busy() -> ServiceError:
    return ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this lease")
