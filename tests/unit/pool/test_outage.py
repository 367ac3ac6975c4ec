"""Who takes a mass of 401s for an outage, and when; and how old sessions are."""

import pytest
from howler.pool.v1.pool_service_pb2 import AccountState

from server.pool import age
from server.pool.account import AccountId, Member
from server.pool.outage import WINDOW, Refusals

A, B, C = AccountId("a"), AccountId("b"), AccountId("c")


def test_all_refused_at_once_is_an_outage_until_one_is_taken() -> None:
    refusals = Refusals()
    refusals.refused(A, 100.0)
    assert not refusals.judge({A, B}, 100.0)
    refusals.refused(B, 100.0 + WINDOW)
    assert refusals.judge({A, B}, 100.0 + WINDOW)
    assert refusals.judge({A, B, C}, 200.0), "it stays one until a session is taken"
    refusals.taken()
    assert not refusals.judge({A}, 200.0)


def test_a_single_account_is_taken_for_expired() -> None:
    refusals = Refusals()
    refusals.refused(A, 1.0)
    assert not refusals.judge({A}, 1.0)


def test_refusals_that_lie_apart_are_expiries() -> None:
    refusals = Refusals()
    refusals.refused(A, 100.0)
    refusals.refused(B, 100.1 + WINDOW)
    assert not refusals.judge({A, B}, 100.1 + WINDOW)
    assert refusals.lately(100.1 + WINDOW) == {B}


def test_what_was_refused_before_a_success_does_not_count() -> None:
    refusals = Refusals()
    refusals.refused(A, 1.0)
    refusals.taken()
    refusals.refused(B, 2.0)
    assert not refusals.judge({A, B}, 2.0)


DAY = age.DAY_US
NOW = 1_700_000_000 * 1_000_000


def member(days_left: float, **fields: object) -> Member:
    begun = NOW - age.SESSION_US + int(days_left * DAY)
    usual = {"cookie": "c", "state": AccountState.ACCOUNT_STATE_ACTIVE, "session_us": begun}
    return Member(A, **{**usual, **fields})  # type: ignore[arg-type]


PASSWORD = {"email": "a@b.c", "password": "x"}


@pytest.mark.parametrize(
    ("who", "due", "warned"),
    [
        (member(29), False, False),
        (member(5.1), False, False),
        (member(4.9), False, True),
        (member(-1), False, True),
        (member(3.1, **PASSWORD), False, False),
        (member(2.9, **PASSWORD), True, False),
        (member(1.9, **PASSWORD), True, True),
        (member(1, enabled=False), False, False),
        (member(1, state=AccountState.ACCOUNT_STATE_EXPIRED), False, False),
        (member(1, session_us=0), False, False),
    ],
)
def test_what_is_due_before_the_fixed_end(who: Member, due: bool, warned: bool) -> None:
    """P12: a login renews days ahead; without a password, or where it fails, the operator is told."""
    assert age.renewal_due(who, NOW) is due
    assert age.ending(who, NOW, 5 * DAY) is warned


def test_an_age_that_is_not_known_is_called_a_bound() -> None:
    assert age.told(member(2), NOW).startswith("its session ends in 2.0 days at the latest")
    assert "at the latest" not in age.told(member(2, session_dated=True), NOW)
