"""Spells a ServiceError as google.rpc.Status, with ErrorInfo and RetryInfo (AIP-193)."""

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from server.errors import CODES, ServiceError, reason_name

DOMAIN: Final = "howler"


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


def _add(status: Status, detail: ErrorInfo | RetryInfo) -> None:
    packed = Any()
    packed.Pack(detail)
    status.details.append(packed)
