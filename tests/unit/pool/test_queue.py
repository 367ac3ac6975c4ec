"""The line of waiters on a bare board: cancellations at the worst moment, and what is not looked at twice."""

import asyncio

import pytest
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode

from server.errors import ServiceError
from server.pool.account import AccountId, LeaseId, Member
from server.pool.board import Board
from server.pool.choice import Want
from server.pool.pieces import Held
from server.pool.queue import Queue

ANN = AccountId("ann")
ANY = Want(exclusive=True)


def lease(name: str) -> Lease:
    return Lease(lease_id=name, account_id=ANN, mode=LeaseMode.LEASE_MODE_EXCLUSIVE)


@pytest.fixture
def board() -> Board:
    """Return a board whose one slot is taken by the lease `first`."""
    board = Board(default_slots=1)
    board.put(Member(ANN, cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE))
    board.hold(Held(lease("first")))
    return board


def line(board: Board) -> Queue:
    return Queue(board, log_in=lambda _: None, evict=lambda _: None)


async def test_a_reservation_that_crosses_a_cancellation_goes_to_the_next(board: Board) -> None:
    queue = line(board)
    leaver = asyncio.create_task(queue.wait(ANY, lease("leaver"), 5))
    heir = asyncio.create_task(queue.wait(ANY, lease("heir"), 5))
    await asyncio.sleep(0)
    board.let_go(LeaseId("first"))
    queue.stir()  # reserves for the leaver, which has not run yet
    leaver.cancel()
    assert (await heir).id == "heir"
    assert set(board.leases) == {"heir"}
    assert len(queue) == 0


async def test_a_refusal_that_crosses_a_cancellation_is_dropped(board: Board) -> None:
    queue = line(board)
    leaver = asyncio.create_task(queue.wait(ANY, lease("leaver"), 5))
    await asyncio.sleep(0)
    board.remove(ANN)
    queue.recheck()
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert len(queue) == 0


async def test_who_was_late_is_out_of_the_line(board: Board) -> None:
    queue = line(board)
    with pytest.raises(ServiceError, match=r"no slot came free in 0\.01 s"):
        await queue.wait(ANY, lease("late"), 0.01)
    board.let_go(LeaseId("first"))
    queue.stir()
    assert not board.leases
    assert (await queue.wait(ANY, lease("next"), 0)).id == "next"
