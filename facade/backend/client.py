"""The server at one target: its models, its health, and its turns over the Relay."""

from collections.abc import Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import ListRequest, Model, ResolveRequest
from howler.model.v1.model_service_pb2_grpc import ModelServiceStub
from howler.task.v1.relay_pb2 import RelayRequest
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_service_pb2 import CancelTurnRequest
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub

from facade.backend.connection import RelayCall
from facade.backend.conversations import Conversations
from facade.backend.memory import Memory
from facade.backend.relay import MOST_BYTES, Patience, Relay, RunningTurn, watching
from facade.backend.unary import ask
from facade.errors import ApiError

_HEALTH_TIMEOUT: Final = 2.0
"""Seconds until a server that does not answer counts as not ready."""

_OPTIONS: Final = (
    # What a Relay message holds is bounded by the server and by each turn's window.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", MOST_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A server that comes back is found while turns still wait for it, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 500),
    # The target is named by the operator: a proxy of the environment has no say in it.
    ("grpc.enable_http_proxy", 0),
)


class Backend:
    """The server at one target, by one channel. It must be made in a running loop and connects at once."""

    def __init__(self, target: str, patience: Patience | None = None) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._tasks = TaskServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._relay = Relay(self._open_relay, patience or Patience())
        self.memory = Memory(self._channel)
        self.conversations = Conversations(self._channel)

    def start(self, start: StartTurn) -> RunningTurn:
        """Start a turn and follow it. It fails, if it does, where it is read."""
        return self._relay.follow(RelayRequest(start=start))

    def watch(self, turn_id: str) -> RunningTurn:
        """Follow a turn from its first event. It fails, if it does, where it is read."""
        return self._relay.follow(watching(turn_id))

    def look_at(self, turn_id: str) -> RunningTurn:
        """Read what a turn has told by now; it ends there. It fails, if it does, where it is read."""
        return self._relay.follow(watching(turn_id, until_now=True))

    async def cancel(self, turn_id: str, request_id: str) -> None:
        """Interrupt a turn, whose task stays; return when it is over. Raises ApiError."""
        await ask(self._tasks.CancelTurn, CancelTurnRequest(turn_id=turn_id), request_id)

    async def retell(self, request: RetellRequest) -> None:
        """Have a conversation recognised by what its caller was told. Raises ApiError."""
        await self.memory.retell(request)

    async def models(self, request_id: str) -> Sequence[Model]:
        """Return the models, as the server lists them; raises ApiError."""
        return (await ask(self._models.List, ListRequest(), request_id)).models

    async def resolve(self, request: ResolveRequest, request_id: str) -> Model:
        """Return the model that a name means; raises ApiError, 404 where none does."""
        return (await ask(self._models.Resolve, request, request_id)).model

    async def is_ready(self) -> bool:
        """Say whether the server is there and serves."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_TIMEOUT)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def end_turns(self) -> None:
        """End the turns that run, each with an error that says why: this process goes."""
        self._relay.end_turns(ApiError.of(ErrorReason.ERROR_REASON_SHUTTING_DOWN))

    async def close(self) -> None:
        """Close the Relay and the channel."""
        await self._relay.close()
        await self._channel.close()

    def _open_relay(self) -> RelayCall:
        return self._tasks.Relay(wait_for_ready=True)
