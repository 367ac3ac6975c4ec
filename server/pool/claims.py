"""Turns on leases that callers hold: such a lease is claimed for a turn and given back after it."""

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease

from server.errors import ServiceError
from server.pool.account import LeaseId, TaskId
from server.pool.board import Held
from server.pool.desk import Desk
from server.pool.fence import lost
from server.pool.leases import Leases, copied

_E = ErrorReason


class Claims:
    """Which callers' leases a turn runs on."""

    def __init__(self, desk: Desk, leases: Leases) -> None:
        self._desk = desk
        self._leases = leases

    async def claim(self, lease_id: LeaseId, token: int, task_id: TaskId) -> Lease:
        """Take a caller's exclusive lease for a turn: on a new task, or on the one that was made under it.

        Whichever replica answered for the lease, this one does from then on.
        Raises LEASE_LOST, LEASE_NOT_FOUND, INVALID_REQUEST for a shared lease, TASK_BUSY while a turn
        runs on it, UNSUPPORTED_VALUE where its slot is another task's.
        """
        held = await self._leases.live(lease_id, token)
        if not held.exclusive:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, "lease: a turn needs an exclusive lease")
        if held.claimed is None:
            held = await self._adopt(held)
        if held.claimed is not None:
            raise ServiceError(_E.ERROR_REASON_TASK_BUSY, "a turn is running on this lease")
        if held.task_id != task_id:
            raise ServiceError(
                _E.ERROR_REASON_UNSUPPORTED_VALUE,
                "lease: its slot went to the task made under it; name that task, or acquire another lease"
                if held.task_id
                else "lease: a task that exists holds its slot itself; leave the lease out",
            )
        if not held.fence.holds:
            raise lost()
        held.claimed = held.fence
        return copied(held.lease)

    async def _adopt(self, held: Held) -> Held:
        """Make sure of a lease, and take it over where another replica had it, with the task that it has."""
        board = self._desk.board
        await self._desk.mirror.refresh({held.account_id})
        asked_at = self._desk.now()
        left = await self._desk.ledger.adopt(held.id)
        found = board.leases.get(held.id)
        if left is None or found is None:
            raise ServiceError(
                _E.ERROR_REASON_TASK_BUSY, "a turn is running on this lease, or it lapsed just now"
            )
        if found.foreign:
            board.let_go(found.id)
            found = Held(copied(found.lease), found.task_id)
            board.hold(found)
        self._leases.extend(found, asked_at, left)
        return found

    async def unclaim(self, lease_id: LeaseId) -> None:
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
        if held.task_id:
            now_us = self._desk.now_us()
            await self._desk.ledger.rest_task(held.task_id, now_us)
            self._desk.board.rest(held.task_id, now_us)
        held.claimed = None
