"""What a turn used, by the totals of its task; nothing where they may not stand still (protocol §5.3)."""

import pytest

from server.pool.account import TaskId
from server.turn.totals import NOTHING, Count, Totals
from server.upstream.tasks import TaskInfo, Tokens

NOW = 1_700_000_000.0
ONE = Tokens(100, 20, 120, 1)
TWO = Tokens(250, 50, 300, 2)
TASK = TaskId("task")


def info(tokens: Tokens | None, *, idle: float = 0.0, task_id: TaskId = TASK) -> TaskInfo:
    """Return a task that was last at work `idle` seconds ago."""
    return TaskInfo(task_id, "processing", "", 0, "", "online", None, tokens, int(NOW - idle))


@pytest.mark.parametrize(
    ("before", "reads", "part"),
    [
        (NOTHING, [ONE, ONE], ONE),
        (ONE, [TWO, TWO], Tokens(150, 30, 180, 1)),
        (NOTHING, [None, ONE, TWO, TWO], TWO),
        (NOTHING, [ONE, TWO], None),  # it still grows
        (NOTHING, [ONE, None, ONE], None),
        (NOTHING, [None, None], None),
        (ONE, [ONE, ONE, ONE], None),  # nothing of the turn is there yet
        (ONE, [Tokens(250, 50, 300, 1)] * 2, None),  # no request was counted
        (NOTHING, [Tokens(100, 19, 119, 1)] * 2, None),  # less than was said
        (TWO, [Tokens(260, 40, 300, 3)] * 2, None),  # a count fell
    ],
)
def test_a_turn_used_what_its_task_has_more_once_that_stands_still(
    before: Tokens, reads: list[Tokens | None], part: Tokens | None
) -> None:
    count = Count(before, said=320)
    for total in reads:
        assert count.part is None
        count.read(total)
    assert count.part == part


def test_a_turn_begins_with_the_total_that_the_one_before_waited_for() -> None:
    totals = Totals()
    totals.seen(ONE)
    totals.ended(TASK, ONE, NOW)
    assert totals.before(info(ONE), NOW) == ONE
    assert totals.before(info(ONE), NOW) is None, "a turn began since, and nobody knows how it ended"


def test_what_comes_late_is_not_the_next_turns() -> None:
    totals = Totals()
    totals.seen(ONE)
    totals.ended(TASK, ONE, NOW)
    assert totals.before(info(TWO), NOW) is None, "more than the turn before had waited for"
    totals.ended(TASK, None, NOW)
    assert totals.before(info(TWO), NOW) is None, "it did not wait, or in vain"
    assert totals.before(info(TWO, task_id=TaskId("of another server")), NOW) is None
    assert totals.before(info(None, idle=3600), NOW) is None


def test_a_task_at_rest_has_been_told_whole() -> None:
    totals = Totals()
    assert totals.before(info(TWO, idle=600), NOW) == TWO
    totals.ended(TASK, None, NOW)
    assert totals.before(info(TWO, idle=600), NOW) is None, "a clock is wrong: its turn has just ended here"
    totals.ended(TASK, None, NOW)
    assert totals.before(info(TWO, idle=0), NOW + 299) is None
    totals.ended(TASK, None, NOW)
    assert totals.before(info(TWO), NOW + 300) == TWO


def test_nobody_waits_where_nothing_is_told_but_one_now_and_then() -> None:
    totals = Totals()
    assert totals.worth_a_wait(NOW)
    assert not totals.worth_a_wait(NOW), "one turn is trying it"
    totals.waited(None)
    assert totals.before(info(None), NOW) is None
    assert not totals.worth_a_wait(NOW + 599)
    assert totals.worth_a_wait(NOW + 600)
    assert not totals.worth_a_wait(NOW + 601)


def test_all_wait_once_anything_is_told() -> None:
    totals = Totals()
    totals.before(info(ONE), NOW)
    assert all(totals.worth_a_wait(NOW) for _ in range(9))


def test_nobody_waits_on_for_what_never_comes_in_time() -> None:
    totals = Totals()
    totals.before(info(ONE), NOW)
    totals.waited(None)
    totals.waited(None)
    assert totals.worth_a_wait(NOW)
    totals.waited(TWO)
    for _ in range(3):
        assert totals.worth_a_wait(NOW)
        totals.waited(None)
    totals.before(info(TWO), NOW)
    assert totals.worth_a_wait(NOW), "one tries it"
    assert not totals.worth_a_wait(NOW)
    totals.waited(TWO)
    assert totals.worth_a_wait(NOW)
    assert totals.worth_a_wait(NOW)


def test_old_tasks_are_forgotten() -> None:
    totals = Totals()
    totals.seen(ONE)
    for number in range(5000):
        totals.ended(TaskId(f"{number}"), ONE, NOW)
    assert totals.before(info(ONE, task_id=TaskId("0")), NOW) is None
    assert totals.before(info(ONE, task_id=TaskId("4999")), NOW) == ONE
