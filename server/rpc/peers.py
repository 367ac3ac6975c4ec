"""The other replicas as this one calls them: one channel each, kept while somebody uses it or it works.

A call that is forwarded names whom it is meant for: the owner answers it itself or not at all, so that
nothing is forwarded twice.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, Self

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.task_service_pb2 import DESCRIPTOR, WatchRequest
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub

from server.errors import ServiceError
from server.rpc.status import told_by
from server.store.addresses import Owner

OWNER: Final = "howler-owner"
"""The metadata of a forwarded call: the name of the replica that it is meant for."""

_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long connecting may take
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_WATCH: Final = f"/{DESCRIPTOR.services_by_name['TaskService'].full_name}/Watch"


class Unreachable(ServiceError):
    """The replica that runs the turn does not answer: BACKEND_UNAVAILABLE."""

    def __init__(self, why: str) -> None:
        super().__init__(
            ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE, f"the server that runs the turn {why}", 1.0
        )


class Line(NamedTuple):
    """A way to a replica. What is called over it carries `metadata`."""

    tasks: Any
    metadata: tuple[tuple[str, str], ...]
    channel: grpc.aio.Channel

    def watch(self, asked: WatchTurn) -> Any:
        """Watch a turn; the answers are serialized."""
        method: Any = self.channel.unary_stream(_WATCH, request_serializer=WatchRequest.SerializeToString)
        return method(WatchRequest(watch=asked), metadata=self.metadata)


class Peers:
    """The channels to other replicas, by address. Use as a context manager."""

    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._users: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close()

    @asynccontextmanager
    async def at(self, owner: Owner) -> AsyncIterator[Line]:
        """Call the replica that runs a turn.

        Raises what it answers, and Unreachable where it does not. A channel that failed is given up.
        """
        address = owner.address
        if not address:
            raise Unreachable("cannot be reached by others: HOWLER_ADVERTISE_ADDR is not set there")
        if address not in self._channels:
            self._channels[address] = grpc.aio.insecure_channel(address, options=_OPTIONS)
        channel = self._channels[address]
        self._users[address] = self._users.get(address, 0) + 1
        failed = False
        try:
            yield Line(TaskServiceStub(channel), ((OWNER, owner.replica),), channel)
        except grpc.aio.AioRpcError as error:
            told = told_by(error)
            if told is not None and told.reason != ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE:
                raise told from None
            failed = told is None
            raise Unreachable("cannot be reached; another one goes on with it soon if it is dead") from None
        finally:
            self._users[address] -= 1
            if failed and not self._users[address]:
                del self._channels[address], self._users[address]
                await channel.close()
