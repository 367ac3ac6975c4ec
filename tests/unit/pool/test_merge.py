"""What a reading of the books may change on the board, and what it must leave alone: race by race."""

import time
from dataclasses import replace

import pytest
from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.board import Board
from server.pool.ledger import Books, Cold, Holding, Work
from server.pool.merge import Reading
from server.pool.pieces import Cooling, Held
from server.pool.terms import Terms

ANN, BOB = AccountId("ann"), AccountId("bob")
EMPTY = Books(members=[], leases=[], tasks=[], cooldowns=[], closed=[])
NOW = 1000.0


def member(account_id: AccountId = ANN, version: int = 0, **more: object) -> Member:
    state = AccountState.ACCOUNT_STATE_ACTIVE
    return Member(account_id, cookie="c", state=state, slots=2, version=version, **more)  # type: ignore[arg-type]


def lease(name: str, token: int = 1) -> Lease:
    return Lease(lease_id=name, account_id=ANN, mode=LeaseMode.LEASE_MODE_EXCLUSIVE, token=token)


def holding(name: str, replica: str = "other", task: str = "") -> Holding:
    return Holding(lease(name), replica, TaskId(task), left=10.0, reclaimable=20.0)


def work(name: str, *, busy: bool = False) -> Work:
    return Work(Task(task_id=name, account_id=ANN), busy)


def cold(seconds: float = 60.0) -> Cold:
    return Cold(ANN, Cooldown(reason="QUOTA", scope=CooldownScope.COOLDOWN_SCOPE_ACCOUNT), seconds)


@pytest.fixture
def board() -> Board:
    """Return a board with one account."""
    board = Board(default_slots=1)
    board.put(member())
    return board


def reading(board: Board, *accounts: AccountId) -> Reading:
    return Reading(board, Terms(), set(accounts) or None, "me", NOW - 0.1)


def books(**more: object) -> Books:
    return replace(EMPTY, **{"members": [member()], **more})  # type: ignore[arg-type]


def held(board: Board, name: str, task: str = "") -> Held:
    own = Held(lease(name), TaskId(task))
    own.extend(NOW + 15, time.monotonic() + 60)
    board.hold(own)
    return own


def test_leases_of_others_take_slots_until_they_are_gone(board: Board) -> None:
    reading(board).merge(books(leases=[holding("theirs")]), NOW)
    assert board.seats[ANN].free(NOW) == 1
    assert board.leases[LeaseId("theirs")].deadline == NOW + 20, "when it may be reclaimed"
    reading(board).merge(books(), NOW)
    assert board.seats[ANN].free(NOW) == 2


def test_a_lease_of_another_goes_over_to_its_task(board: Board) -> None:
    reading(board).merge(books(leases=[holding("theirs")]), NOW)
    reading(board).merge(books(leases=[holding("theirs", task="t")], tasks=[work("t", busy=True)]), NOW)
    assert board.seats[ANN].used == 1
    assert board.tasks[TaskId("t")].lease_id == "theirs"
    reading(board).merge(books(tasks=[work("t", busy=True)]), NOW)
    assert board.tasks[TaskId("t")].orphaned, "its replica died"


def test_what_the_ledger_took_from_us_is_lost(board: Board) -> None:
    own = held(board, "mine")
    merged = reading(board).merge(books(), NOW)
    assert merged.lost == [own]
    assert own.fence.fallen
    assert not board.leases


def test_a_grant_that_the_books_do_not_show_yet_stays(board: Board) -> None:
    reserved = Held(lease("reserved", token=0))
    board.hold(reserved)
    read = reading(board)
    reserved.lease.token = 7  # the ledger answered after the books were read
    assert read.merge(books(), NOW).lost == []
    assert board.seats[ANN].used == 1


def test_a_lease_that_ended_meanwhile_does_not_come_back(board: Board) -> None:
    held(board, "mine")
    read = reading(board)
    board.let_go(LeaseId("mine"))
    read.merge(books(leases=[holding("mine", replica="me")]), NOW)
    assert board.seats[ANN].used == 0


def test_a_lease_that_its_caller_took_elsewhere_is_no_longer_ours(board: Board) -> None:
    own = held(board, "mine")
    merged = reading(board).merge(books(leases=[holding("mine")]), NOW)
    assert own.fence.fallen
    assert merged.lost == []
    assert board.leases[LeaseId("mine")].foreign
    assert board.seats[ANN].used == 1


def test_a_lease_that_we_took_over_meanwhile_stays_ours(board: Board) -> None:
    reading(board).merge(books(leases=[holding("theirs")]), NOW)
    read = reading(board)
    board.let_go(LeaseId("theirs"))
    own = held(board, "theirs")
    merged = read.merge(books(leases=[holding("theirs")]), NOW)
    assert not own.fence.fallen
    assert board.leases[LeaseId("theirs")] is own
    assert merged.again == {ANN}


def test_a_renewal_at_another_replica_is_believed_from_before_the_reading(board: Board) -> None:
    own = held(board, "mine")
    own.deadline = NOW + 1
    reading(board).merge(books(leases=[holding("mine", replica="me")]), NOW)
    assert own.deadline == NOW - 0.1 + 10
    assert own.fence.until == NOW - 0.1 + Terms().belief(10)


def test_a_task_that_ended_meanwhile_stays_so(board: Board) -> None:
    board.enter(Task(task_id="t", account_id=ANN))
    read = reading(board)
    board.leave(TaskId("t"))
    merged = read.merge(books(tasks=[work("t")]), NOW)
    assert not board.tasks
    assert merged.again == {ANN}, "to be read once more: another may have changed it too"


def test_a_task_that_was_made_meanwhile_stays(board: Board) -> None:
    own = held(board, "mine")
    read = reading(board)
    board.enter(Task(task_id="t", account_id=ANN), own.id)
    read.merge(books(leases=[holding("mine", replica="me")]), NOW)
    assert board.tasks[TaskId("t")].lease_id == own.id
    assert board.seats[ANN].used == 1


def test_a_task_of_our_lease_that_the_books_show_first_counts_once(board: Board) -> None:
    held(board, "mine")
    shown = books(leases=[holding("mine", replica="me", task="t")], tasks=[work("t", busy=True)])
    reading(board).merge(shown, NOW)
    assert board.seats[ANN].used == 1
    assert not board.tasks[TaskId("t")].orphaned
    board.enter(Task(task_id="t", account_id=ANN), LeaseId("mine"))
    assert board.seats[ANN].used == 1


def test_records_by_version(board: Board) -> None:
    read = reading(board)
    board.put(member(version=3, name="written meanwhile"))
    assert read.merge(books(members=[member(version=2, name="old")]), NOW).again == {ANN}
    assert board.seats[ANN].member.name == "written meanwhile"
    merged = reading(board).merge(books(members=[member(version=4, name="new")]), NOW)
    assert (board.seats[ANN].member.name, merged.changed) == ("new", [ANN])


def test_accounts_come_and_go_but_not_those_that_were_not_asked_for(board: Board) -> None:
    board.put(member(BOB))
    own = held(board, "mine")
    assert reading(board, BOB).merge(EMPTY, NOW).removed == [BOB]
    assert reading(board).merge(EMPTY, NOW).removed == [ANN]
    assert own.fence.fallen
    assert not board.remove(BOB), "who removed it here may learn so from the books first"
    read = reading(board)
    board.put(member(BOB))
    assert read.merge(EMPTY, NOW).removed == [], "it was registered meanwhile"


def test_the_order_of_last_use_is_that_of_all_replicas(board: Board) -> None:
    board.put(member(BOB))
    for last_us in ((5, 9), (12, 9)):
        used = [
            member(account_id, last_used_us=us) for account_id, us in zip((ANN, BOB), last_us, strict=True)
        ]
        reading(board).merge(books(members=used), NOW)
    assert board.seats[BOB].turn < board.seats[ANN].turn


def test_cooldowns_come_end_and_are_not_undone(board: Board) -> None:
    reading(board).merge(books(cooldowns=[cold()]), NOW)
    assert board.cooled_until(ANN) == NOW + 60
    (cooling,) = board.coolings.values()
    assert reading(board).merge(books(), NOW).over == [cooling]
    assert board.cooled_until(ANN) == 0
    read = reading(board)
    board.cool(Cooling(ANN, cold().cooldown, NOW + 5))
    read.merge(books(), NOW)
    assert board.cooled_until(ANN) == NOW + 5


def test_closed_slots(board: Board) -> None:
    reading(board).merge(books(closed=[(ANN, 60.0)]), NOW)
    assert (board.seats[ANN].free(NOW), board.seats[ANN].free(NOW + 61)) == (1, 2)
    read = reading(board)
    board.close_slot(ANN, NOW + 30)
    read.merge(books(closed=[(ANN, 60.0)]), NOW)
    assert board.seats[ANN].free(NOW) == 0
