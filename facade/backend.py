"""The gRPC server as the facade sees it: the only owner of stubs, the only reader of gRPC's errors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import ListRequest, Model, ResolveRequest
from howler.model.v1.model_service_pb2_grpc import ModelServiceStub
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import StartTurn, StreamRequest, StreamResponse
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub

from facade.errors import ApiError, internal

_DOMAIN: Final = "howler"
_NEW_REASON: Final = -1  # a word of a newer server's alphabet: told as a bug, for it has no row here
_LIST_TIMEOUT: Final = 30.0
"""Seconds for a unary call. The server answers from its cache, but the first list of all takes a call."""

_HEALTH_TIMEOUT: Final = 2.0
"""Seconds until a server that does not answer counts as not ready."""

_MOST_BYTES: Final = 16 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.max_send_message_length", _MOST_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that comes back is found within seconds, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # The target is named by the operator: a proxy of the environment has no say in it.
    ("grpc.enable_http_proxy", 0),
)


class RunningTurn:
    """A turn that this facade follows: an iterator over batches of its events.

    Fails with ApiError where the RPC does. Ends where the server ends it, or
    after `leave`.
    """

    def __init__(self, call: "grpc.aio.UnaryStreamCall[StreamRequest, StreamResponse]") -> None:
        self._call = call
        self._responses: AsyncIterator[StreamResponse] = aiter(call)
        self._left = False
        self._ended_by: ApiError | None = None

    def __aiter__(self) -> "RunningTurn":
        return self

    async def __anext__(self) -> Sequence[TaskEvent]:
        """Return the next batch."""
        try:
            response = await anext(self._responses)
        except grpc.aio.AioRpcError as error:
            raise self._ended_by or told_by(error) from None
        except asyncio.CancelledError:
            # gRPC raises the same for a call that `leave` cancelled and for a task that is being cancelled.
            task = asyncio.current_task()
            if not self._left or (task is not None and task.cancelling()):
                raise
            if self._ended_by is not None:
                raise self._ended_by from None
            raise StopAsyncIteration from None
        return response.events

    def leave(self) -> None:
        """Stop following it; the server cancels the turn. A turn that is over is not touched."""
        self._left = True
        self._call.cancel()

    def end(self, error: ApiError) -> None:
        """Stop following it and fail whoever reads it with the error."""
        self._ended_by = error
        self.leave()


class Backend:
    """The server at one target, by one channel that connects when it is needed."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._tasks = TaskServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._running: set[RunningTurn] = set()

    def start(self, start: StartTurn) -> RunningTurn:
        """Start a turn and follow it. It fails, if it does, where it is read."""
        call = self._tasks.Stream(StreamRequest(start=start), metadata=(("x-request-id", start.request_id),))
        turn = RunningTurn(call)
        self._running.add(turn)
        call.add_done_callback(lambda _: self._running.discard(turn))
        return turn

    async def models(self, request_id: str) -> Sequence[Model]:
        """Return the models, as the server lists them; raises ApiError."""
        try:
            listed = await self._models.List(
                ListRequest(), timeout=_LIST_TIMEOUT, metadata=(("x-request-id", request_id),)
            )
        except grpc.aio.AioRpcError as error:
            raise told_by(error) from None
        return listed.models

    async def resolve(self, request: ResolveRequest, request_id: str) -> Model:
        """Return the model that a name means; raises ApiError, 404 where none does."""
        try:
            resolved = await self._models.Resolve(
                request, timeout=_LIST_TIMEOUT, metadata=(("x-request-id", request_id),)
            )
        except grpc.aio.AioRpcError as error:
            raise told_by(error) from None
        return resolved.model

    async def is_ready(self) -> bool:
        """Say whether the server is there and serves."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_TIMEOUT)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def end_turns(self) -> None:
        """End the turns that run, each with an error that says why: this process goes."""
        for turn in list(self._running):
            turn.end(ApiError.of(ErrorReason.ERROR_REASON_SHUTTING_DOWN))

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def told_by(error: grpc.aio.AioRpcError) -> ApiError:
    """Return what a failed RPC means to an OpenAI client.

    The server's own failures name their reason (ErrorInfo); a connection that
    fails has none. Whatever else comes is a bug, and its message stays here.
    """
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            status = Status.FromString(value)
            reason = _reason_of(status)
            if reason is not None:
                return ApiError.of(reason, status.message, _retry_after_of(status))
    if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return ApiError.of(ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE)
    return internal()


def _reason_of(status: Status) -> int | None:
    info = ErrorInfo()
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info) and info.domain == _DOMAIN:
            return dict(ErrorReason.items()).get(f"ERROR_REASON_{info.reason}", _NEW_REASON)
    return None


def _retry_after_of(status: Status) -> float | None:
    retry = RetryInfo()
    for detail in status.details:
        if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None
