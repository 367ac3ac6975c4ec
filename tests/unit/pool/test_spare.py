"""Slots that are kept free for whoever comes next."""

import pytest
from howler.pool.v1.pool_service_pb2 import AccountState
from howler.task.v1.task_service_pb2 import Task
from hypothesis import given
from hypothesis import strategies as st

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.pool.board import Board
from server.pool.choice import surplus
from server.pool.show import timestamp
from server.pool.terms import Terms

NOW = 100.0


@pytest.mark.parametrize(
    ("told", "slots", "spare"),
    [
        (None, 1, 0),
        (None, 2, 1),
        (None, 4, 1),
        (None, 7, 1),
        (None, 8, 2),
        (None, 40, 10),
        (0, 8, 0),
        (3, 8, 3),
        (9, 8, 8),
        (1, 1, 1),
    ],
)
def test_how_many_are_kept_free(told: int | None, slots: int, spare: int) -> None:
    assert Terms(free_slots=told).spare(slots) == spare


def board_of(
    slots: int, *, tasks: list[str], state: AccountState = AccountState.ACCOUNT_STATE_ACTIVE
) -> Board:
    """Return the board of one account; its tasks are `idle`, `busy`, `leased`, `failed` or `evicting`."""
    board = Board(slots)
    board.put(Member(AccountId("a"), cookie="c", state=state))
    for number, kind in enumerate(tasks):
        made = Task(task_id=f"{kind}{number}", account_id="a", last_used_time=timestamp(number))
        board.enter(made, busy=kind == "busy")
        active = board.tasks[TaskId(made.task_id)]
        if kind == "evicting":
            board.stop(active)
        active.lease_id = LeaseId("l" if kind == "leased" else "")
        active.evict_after = NOW + 1 if kind == "failed" else 0.0
    return board


def stopped(board: Board, spare: int) -> list[str]:
    return [active.id for active in surplus(board, lambda _: spare, NOW)]


def test_the_task_used_longest_ago_makes_room_first() -> None:
    board = board_of(4, tasks=["idle", "busy", "idle", "idle"])
    assert stopped(board, 0) == []
    assert stopped(board, 1) == ["idle0"]
    assert stopped(board, 2) == ["idle0", "idle2"]
    board.use(board.tasks[TaskId("idle0")], 9)
    assert stopped(board, 1) == ["idle2"]


def test_what_is_free_or_will_be_counts() -> None:
    assert stopped(board_of(4, tasks=["idle", "idle"]), 2) == []
    assert stopped(board_of(4, tasks=["idle", "idle", "idle", "evicting"]), 1) == []
    assert stopped(board_of(4, tasks=["busy", "leased", "failed", "idle"]), 4) == ["idle3"]


def test_an_account_that_is_out_of_use_does_not_count() -> None:
    board = board_of(4, tasks=["idle"] * 4, state=AccountState.ACCOUNT_STATE_EXPIRED)
    assert stopped(board, 1) == []


@given(
    st.lists(st.sampled_from(["idle", "busy", "leased", "failed", "evicting"]), max_size=8), st.integers(0, 9)
)
def test_no_more_are_stopped_than_are_needed(tasks: list[str], spare: int) -> None:
    board = board_of(8, tasks=tasks)
    chosen = stopped(board, spare)
    assert all(name.startswith("idle") for name in chosen)
    will_be_free = 8 - len(tasks) + tasks.count("evicting") + len(chosen)
    assert will_be_free >= spare or len(chosen) == tasks.count("idle")
    assert not chosen or will_be_free <= spare
