"""The error table: total, and as openai-surface.md §4.1 and §4.2 want it."""

import json

import grpc
import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason

from facade.backend.status import told_by
from facade.errors import DEFAULT_RETRY_AFTER, TABLE, ApiError, Retry, internal, invalid
from tests.support.openai_judge import assert_error

REASONS = sorted(ErrorReason.items())


def test_table_is_total() -> None:
    """P2.4, P7.3: every word of the alphabet has its row, and no row is left over."""
    assert set(TABLE) == set(ErrorReason.values())


@pytest.mark.parametrize(("name", "value"), REASONS)
def test_every_reason_makes_a_legal_error(name: str, value: int) -> None:
    error = ApiError.of(value)
    assert_error(json.loads(error.body()))
    headers = dict(error.headers())
    assert not (b"retry-after" in headers and b"x-should-retry" in headers)
    assert error.status in {400, 401, 403, 404, 409, 429, 500, 502, 503, 504}, "never 422"
    assert (error.status == 401) == (name == "ERROR_REASON_UNAUTHENTICATED"), "401 is the client's key alone"


@pytest.mark.parametrize(
    ("reason", "status", "type_", "code", "param"),
    [
        ("MODEL_NOT_FOUND", 404, "invalid_request_error", "model_not_found", "model"),
        ("PROMPT_TOO_LARGE", 400, "invalid_request_error", "context_length_exceeded", None),
        ("POOL_EXHAUSTED", 429, "rate_limit_error", "rate_limit_exceeded", None),
        ("QUOTA_EXHAUSTED", 429, "insufficient_quota", "insufficient_quota", None),
        ("TASK_BUSY", 409, "conflict_error", "run_in_progress", None),
        ("SESSION_EXPIRED", 503, "server_error", "service_unavailable", None),
        ("VM_FAILED", 503, "server_error", "service_unavailable", None),
        ("INTERNAL", 500, "server_error", "internal_error", None),
        ("STORE_UNAVAILABLE", 503, "server_error", "service_unavailable", None),
        ("BACKEND_UNAVAILABLE", 503, "server_error", "service_unavailable", None),
    ],
)
def test_rows_of_the_surface(reason: str, status: int, type_: str, code: str, param: str | None) -> None:
    error = ApiError.of(ErrorReason.Value(f"ERROR_REASON_{reason}"), "said so")
    assert (error.status, error.type, error.code, error.param) == (status, type_, code, param)


def test_retry_after_is_told_where_waiting_helps() -> None:
    busy = ErrorReason.ERROR_REASON_POOL_EXHAUSTED
    assert ApiError.of(busy, "", 2.1).headers() == [(b"retry-after", b"3")]
    assert ApiError.of(busy, "", 0.0).headers() == [(b"retry-after", b"1")]
    assert ApiError.of(busy).headers() == [(b"retry-after", b"%d" % DEFAULT_RETRY_AFTER)]
    assert ApiError.of(ErrorReason.ERROR_REASON_NO_ACCOUNT).headers() == []
    assert ApiError.of(ErrorReason.ERROR_REASON_NO_ACCOUNT, "", 7).headers() == [(b"retry-after", b"7")]


def test_spent_quota_is_never_retried() -> None:
    error = ApiError.of(ErrorReason.ERROR_REASON_QUOTA_EXHAUSTED, "", 60)
    assert error.headers() == [(b"x-should-retry", b"false")]


def test_what_is_wrong_with_the_request_needs_no_header() -> None:
    assert invalid("no", "n").headers() == []


def test_operators_trouble_is_not_told_to_clients() -> None:
    for reason in ("LOGIN_FAILED", "SESSION_EXPIRED", "ACCOUNT_BLOCKED", "CAPTCHA_REQUIRED"):
        error = ApiError.of(ErrorReason.Value(f"ERROR_REASON_{reason}"), "account ann@example.org")
        assert "ann" not in error.message


def test_unknown_reason_is_a_bug() -> None:
    assert ApiError.of(9999, "secret").body() == internal().body()


def test_accepted_turns_are_not_sent_again() -> None:
    error = ApiError.of(ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "gone", 3).once_accepted()
    assert error.retry is Retry.NEVER
    assert error.headers() == [(b"x-should-retry", b"false")]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 503),
        (grpc.StatusCode.UNKNOWN, 500),
        (grpc.StatusCode.UNAUTHENTICATED, 500),
    ],
)
def test_failures_without_a_reason_keep_their_message(code: grpc.StatusCode, status: int) -> None:
    empty = grpc.aio.Metadata()
    error = told_by(grpc.aio.AioRpcError(code, empty, empty, details="secret"))
    assert error.status == status
    assert b"secret" not in error.body()
