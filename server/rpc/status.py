"""Spells a ServiceError as google.rpc.Status, with ErrorInfo and RetryInfo (AIP-193), and reads another's."""

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import CODES, ServiceError, reason_name

DOMAIN: Final = "howler"
_REASONS: Final = {reason_name(reason): reason for reason in CODES}


def to_status(error: ServiceError) -> grpc.Status:
    """Return what gRPC tells the caller: code, message and details as trailing metadata."""
    spelled: grpc.Status = rpc_status.to_status(to_proto(error))
    return spelled


def to_proto(error: ServiceError) -> Status:
    """Return the status as a message, for failures that are told inside a stream."""
    status = Status(code=CODES[error.reason].value[0], message=error.message)
    _add(status, ErrorInfo(reason=reason_name(error.reason), domain=DOMAIN))
    if error.retry_after is not None:
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(round(error.retry_after * 1000))
        _add(status, info)
    return status


def told_by(error: grpc.aio.AioRpcError) -> ServiceError | None:
    """Return what another server failed a call with; None where none of Howler's answered."""
    status = rpc_status.from_call(error)
    info, retry = ErrorInfo(), RetryInfo()
    after: float | None = None
    for detail in status.details if status is not None else ():
        if detail.Unpack(retry):
            after = retry.retry_delay.ToMilliseconds() / 1000
        detail.Unpack(info)
    if status is None or info.domain != DOMAIN:
        return None
    return ServiceError(_REASONS.get(info.reason, ErrorReason.ERROR_REASON_INTERNAL), status.message, after)


def _add(status: Status, detail: ErrorInfo | RetryInfo) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)
