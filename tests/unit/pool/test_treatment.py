"""A test per row of the treatment table (upstream-protocol §1.4), and of its caps."""

import math

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, CooldownScope

from server.pool.treatment import COOLDOWN_CAP, Cool, Demote, Treatment, treatment

E, S, C = ErrorReason, AccountState, CooldownScope

ROWS: list[tuple[ErrorReason, Treatment]] = [
    (E.ERROR_REASON_SESSION_EXPIRED, Demote(S.ACCOUNT_STATE_EXPIRED, relogin=True)),
    (E.ERROR_REASON_LOGIN_FAILED, Demote(S.ACCOUNT_STATE_EXPIRED)),
    (E.ERROR_REASON_CAPTCHA_REQUIRED, Demote(S.ACCOUNT_STATE_EXPIRED)),
    (E.ERROR_REASON_ACCOUNT_BLOCKED, Demote(S.ACCOUNT_STATE_INVALID)),
    (E.ERROR_REASON_TEAM_SESSION, Demote(S.ACCOUNT_STATE_INVALID)),
    (E.ERROR_REASON_QUOTA_EXHAUSTED, Cool(C.COOLDOWN_SCOPE_ACCOUNT, 900)),
    (E.ERROR_REASON_CONCURRENCY_LIMIT, Cool(C.COOLDOWN_SCOPE_ACCOUNT, 30)),
    (E.ERROR_REASON_MODEL_ACCESS_DENIED, Cool(C.COOLDOWN_SCOPE_ACCOUNT_MODEL, 900)),
    (E.ERROR_REASON_HOST_UNAVAILABLE, Cool(C.COOLDOWN_SCOPE_UPSTREAM, 5)),
]


@pytest.mark.parametrize(("reason", "expected"), ROWS)
def test_row(reason: ErrorReason, expected: Treatment) -> None:
    assert treatment(reason, upstream_model_id="model") == expected


def test_every_other_reason_leaves_the_account_alone() -> None:
    others = set(E.values()) - {reason for reason, _ in ROWS}
    assert [reason for reason in others if treatment(reason, 60.0, "model") is not None] == []


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [(10, 10), (5 * 86400, COOLDOWN_CAP), (0, 30), (-3600, 30), (math.nan, 30), (math.inf, 30), (None, 30)],
)
def test_a_hint_counts_where_it_makes_sense_up_to_the_cap(hint: float | None, seconds: float) -> None:
    """T-B8: a hint of days, of the past, or garbage."""
    assert treatment(E.ERROR_REASON_CONCURRENCY_LIMIT, hint) == Cool(C.COOLDOWN_SCOPE_ACCOUNT, seconds)


def test_a_refusal_of_an_unknown_model_cools_nothing() -> None:
    assert treatment(E.ERROR_REASON_MODEL_ACCESS_DENIED) is None


def test_the_third_refused_login_is_final() -> None:
    states = [treatment(E.ERROR_REASON_LOGIN_FAILED, failed_logins=count) for count in range(3)]
    expired, invalid = Demote(S.ACCOUNT_STATE_EXPIRED), Demote(S.ACCOUNT_STATE_INVALID)
    assert states == [expired, expired, invalid]
