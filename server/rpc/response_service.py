"""ResponseService: checks what the facade says and keeps it."""

import re
import time
from typing import Any, Final, Protocol

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.response.v1 import response_service_pb2 as pb
from howler.response.v1.response_service_pb2_grpc import ResponseServiceServicer

from server.errors import ServiceError
from server.rpc.checks import check_size, invalid

_Context = grpc.aio.ServicerContext[Any, Any]

_ID: Final = re.compile(r"resp_[0-9A-Za-z_-]{1,123}")
_MAX_NAME_BYTES: Final = 128
_MAX_BYTES: Final = 15 << 20


class Responses(Protocol):
    """Where responses are kept."""

    async def add(self, response: pb.Response) -> bool:
        """Record a response; False where another has its id."""

    async def get(self, response_id: str, principal: str) -> pb.Response | None:
        """Return a response of a principal."""

    async def delete(self, response_id: str, principal: str) -> bool:
        """Forget a response; False where there is none."""


class ResponseService(ResponseServiceServicer):
    """The memory of a facade that has none."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses

    async def Create(self, request: pb.CreateRequest, context: _Context) -> pb.CreateResponse:
        """Record a response."""
        response = request.response
        _check(response)
        response.create_time.FromNanoseconds(time.time_ns() // 1000 * 1000)
        if not await self._responses.add(response):
            raise ServiceError(ErrorReason.ERROR_REASON_ALREADY_EXISTS, "response_id: taken")
        told = pb.Response(previous_response_id=response.previous_response_id)
        for name in ("response_id", "principal", "turn_id", "conversation_id"):
            setattr(told, name, getattr(response, name))
        told.create_time.CopyFrom(response.create_time)
        return pb.CreateResponse(response=told)

    async def Get(self, request: pb.GetRequest, context: _Context) -> pb.GetResponse:
        """Return a response."""
        response = await self._responses.get(request.response_id, request.principal)
        if response is None:
            raise _unknown()
        return pb.GetResponse(response=response)

    async def Delete(self, request: pb.DeleteRequest, context: _Context) -> pb.DeleteResponse:
        """Forget a response."""
        if not await self._responses.delete(request.response_id, request.principal):
            raise _unknown()
        return pb.DeleteResponse()


def _check(response: pb.Response) -> None:
    if not _ID.fullmatch(response.response_id):
        raise invalid("response.response_id must be resp_ and up to 123 letters, digits, - and _")
    if not response.turn_id:
        raise invalid("response.turn_id is empty")
    for name in ("principal", "turn_id", "previous_response_id", "conversation_id"):
        check_size(f"response.{name}", getattr(response, name), _MAX_NAME_BYTES)
    if len(response.request) + len(response.presentation) > _MAX_BYTES:
        raise invalid(f"response.request and response.presentation are longer than {_MAX_BYTES} bytes")


def _unknown() -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_RESPONSE_NOT_FOUND, "no such response of this principal")
