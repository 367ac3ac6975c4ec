"""P9: the fence between a lease's holder and the platform."""

import time

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.fence import Fence


def test_it_is_shut_before_the_lease_is_granted() -> None:
    assert not Fence().holds


def test_it_is_open_while_the_lease_is_believed_in() -> None:
    fence = Fence()
    fence.until = time.monotonic() + 60
    fence.check()
    assert fence.holds


def test_a_send_after_the_end_of_belief_is_refused_and_told() -> None:
    told = list[str]()
    fence = Fence()
    fence.until = time.monotonic() + 60
    fence.watch(lambda: told.append("turn"))
    fence.until = time.monotonic() - 0.001
    for _ in range(2):
        with pytest.raises(ServiceError) as raised:
            fence.check()
        assert raised.value.reason == ErrorReason.ERROR_REASON_LEASE_LOST
    assert told == ["turn"]


def test_what_has_fallen_stays_so() -> None:
    fence = Fence()
    fence.fall()
    fence.until = time.monotonic() + 60
    assert not fence.holds


def test_who_comes_late_is_told_at_once_and_who_left_never() -> None:
    told = list[str]()

    def gone() -> None:
        told.append("gone")

    fence = Fence()
    fence.watch(gone)
    fence.unwatch(gone)
    fence.unwatch(gone)
    fence.fall()
    fence.watch(lambda: told.append("late"))
    assert told == ["late"]
