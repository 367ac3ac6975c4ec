"""A test per row of the treatment table (upstream-protocol §1.4, field-notes §6), and of its caps."""

import math

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState

from server.pool.breaker import THRESHOLD, Breaker
from server.pool.treatment import (
    COOLDOWN_CAP,
    THROTTLE_CAP,
    CloseSlot,
    Cool,
    Demote,
    Treatment,
    Trip,
    treatment,
)

E, S, C = ErrorReason, AccountState, CooldownScope

ROWS: list[tuple[ErrorReason, Treatment]] = [
    (E.ERROR_REASON_SESSION_EXPIRED, Demote(S.ACCOUNT_STATE_EXPIRED, relogin=True)),
    (E.ERROR_REASON_LOGIN_FAILED, Demote(S.ACCOUNT_STATE_EXPIRED)),
    (E.ERROR_REASON_CAPTCHA_REQUIRED, Demote(S.ACCOUNT_STATE_EXPIRED)),
    (E.ERROR_REASON_ACCOUNT_BLOCKED, Demote(S.ACCOUNT_STATE_INVALID)),
    (E.ERROR_REASON_TEAM_SESSION, Demote(S.ACCOUNT_STATE_INVALID)),
    (E.ERROR_REASON_CONCURRENCY_LIMIT, CloseSlot(60)),
    (E.ERROR_REASON_QUOTA_EXHAUSTED, Cool(C.COOLDOWN_SCOPE_ACCOUNT, 900, 900)),
    (E.ERROR_REASON_RATE_LIMITED, Cool(C.COOLDOWN_SCOPE_ACCOUNT, 5, 60)),
    (E.ERROR_REASON_MODEL_ACCESS_DENIED, Cool(C.COOLDOWN_SCOPE_ACCOUNT_MODEL, 900, 900)),
    (E.ERROR_REASON_HOST_UNAVAILABLE, Cool(C.COOLDOWN_SCOPE_UPSTREAM, 5, 60)),
    (E.ERROR_REASON_UPSTREAM_UNAVAILABLE, Trip()),
    (E.ERROR_REASON_CONNECT_TIMEOUT, Trip()),
    (E.ERROR_REASON_ACCEPTANCE_UNKNOWN, Trip()),
]


@pytest.mark.parametrize(("reason", "expected"), ROWS)
def test_row(reason: ErrorReason, expected: Treatment) -> None:
    assert treatment(reason, upstream_model_id="model") == expected


def test_every_other_reason_leaves_the_account_alone() -> None:
    others = set(E.values()) - {reason for reason, _ in ROWS}
    assert [reason for reason in others if treatment(reason, 60.0, "model") is not None] == []


@pytest.mark.parametrize(
    ("reason", "hint", "seconds"),
    [
        (E.ERROR_REASON_QUOTA_EXHAUSTED, 10, 10),
        (E.ERROR_REASON_QUOTA_EXHAUSTED, 5 * 86400, COOLDOWN_CAP),
        (E.ERROR_REASON_RATE_LIMITED, 5 * 86400, THROTTLE_CAP),
        (E.ERROR_REASON_RATE_LIMITED, 7, 7),
        (E.ERROR_REASON_RATE_LIMITED, 0, 5),
        (E.ERROR_REASON_RATE_LIMITED, -3600, 5),
        (E.ERROR_REASON_RATE_LIMITED, math.nan, 5),
        (E.ERROR_REASON_RATE_LIMITED, math.inf, 5),
        (E.ERROR_REASON_RATE_LIMITED, None, 5),
    ],
)
def test_a_hint_counts_where_it_makes_sense_up_to_the_cap(
    reason: ErrorReason, hint: float | None, seconds: float
) -> None:
    """T-B8: a hint of days, of the past, or garbage; a throttle never locks as long as a quota."""
    cure = treatment(reason, hint)
    assert isinstance(cure, Cool)
    assert cure.after(0) == seconds


def test_a_throttle_backs_off_and_a_time_that_was_named_is_kept() -> None:
    cure = treatment(E.ERROR_REASON_RATE_LIMITED)
    assert isinstance(cure, Cool)
    assert [cure.after(strikes) for strikes in (0, 1, 2, 3, 4, 5000)] == [5, 10, 20, 40, 60, 60]
    asked = treatment(E.ERROR_REASON_RATE_LIMITED, 8.0)
    assert isinstance(asked, Cool)
    assert [asked.after(strikes) for strikes in (0, 5)] == [8, 8]


def test_a_refusal_of_an_unknown_model_cools_nothing() -> None:
    assert treatment(E.ERROR_REASON_MODEL_ACCESS_DENIED) is None


def test_the_third_refused_login_is_final() -> None:
    states = [treatment(E.ERROR_REASON_LOGIN_FAILED, failed_logins=count) for count in range(3)]
    expired, invalid = Demote(S.ACCOUNT_STATE_EXPIRED), Demote(S.ACCOUNT_STATE_INVALID)
    assert states == [expired, expired, invalid]


def test_the_breaker_trips_on_failures_in_a_row_and_ever_longer() -> None:
    breaker = Breaker()
    assert [breaker.failed(probe=False) for _ in range(THRESHOLD)] == [0] * (THRESHOLD - 1) + [5]
    assert [breaker.failed(probe=True) for _ in range(5)] == [10, 20, 40, 60, 60]
    breaker.succeeded()
    assert [breaker.failed(probe=False) for _ in range(THRESHOLD)] == [0] * (THRESHOLD - 1) + [5]


def test_a_success_in_between_keeps_the_breaker_shut() -> None:
    breaker = Breaker()
    for _ in range(3):
        assert not any(breaker.failed(probe=False) for _ in range(THRESHOLD - 1))
        breaker.succeeded()
