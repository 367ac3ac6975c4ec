"""One alphabet of errors: every reason has its code, and arrives with its details."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import CODES, ServiceError, reason_name
from server.rpc.status import to_status, told_by


def test_the_table_is_total() -> None:
    assert set(CODES) == set(ErrorReason.values())


@pytest.mark.parametrize("reason", ErrorReason.values())
def test_every_reason_arrives_with_its_details(reason: ErrorReason) -> None:
    spelled = to_status(ServiceError(reason, "why", 1.5))
    assert spelled.code == CODES[reason]
    assert spelled.code is not grpc.StatusCode.OK
    status = Status.FromString(dict(spelled.trailing_metadata)["grpc-status-details-bin"])
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.domain, info.reason) == ("howler", reason_name(reason))
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert status.message == "why"


def test_no_retry_info_where_no_time_is_known() -> None:
    spelled = to_status(ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, "why"))
    status = Status.FromString(dict(spelled.trailing_metadata)["grpc-status-details-bin"])
    assert len(status.details) == 1


def failed_with(error: ServiceError) -> grpc.aio.AioRpcError:
    spelled = to_status(error)
    trailing = grpc.aio.Metadata(*spelled.trailing_metadata)
    return grpc.aio.AioRpcError(spelled.code, grpc.aio.Metadata(), trailing, spelled.details)


@pytest.mark.parametrize("retry_after", [None, 1.5])
@pytest.mark.parametrize("reason", set(ErrorReason.values()) - {ErrorReason.ERROR_REASON_UNSPECIFIED})
def test_what_another_server_says_is_said_again(reason: ErrorReason, retry_after: float | None) -> None:
    told = told_by(failed_with(ServiceError(reason, "why", retry_after)))
    assert told is not None
    assert (told.reason, told.message, told.retry_after) == (reason, "why", retry_after)


def test_a_failure_of_the_way_is_nobodys_word() -> None:
    nobody = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "connection refused"
    )
    assert told_by(nobody) is None
