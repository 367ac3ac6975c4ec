"""One alphabet of errors: every reason has its code, and arrives with its details."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import CODES, ServiceError, reason_name
from server.rpc.status import to_status


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
