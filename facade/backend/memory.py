"""What the server remembers for the facade: stored responses, what became of turns, conversations."""

import grpc
from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from howler.response.v1 import response_service_pb2 as stored
from howler.response.v1.response_service_pb2_grpc import ResponseServiceStub
from howler.task.v1.task_service_pb2 import GetTurnRequest, TurnRecord
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub

from facade.backend.unary import ask


class Memory:
    """The memory of a facade that has none. All of it raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._responses = ResponseServiceStub(channel)
        self._tasks = TaskServiceStub(channel)
        self._conversations = ConversationServiceStub(channel)

    async def keep(self, response: stored.Response) -> None:
        """Keep a response."""
        await ask(self._responses.Create, stored.CreateRequest(response=response))

    async def response(self, response_id: str, principal: str) -> stored.Response:
        """Return a response of a principal; 404 where there is none."""
        request = stored.GetRequest(response_id=response_id, principal=principal)
        return (await ask(self._responses.Get, request)).response

    async def forget(self, response_id: str, principal: str) -> None:
        """Forget a response of a principal; 404 where there is none."""
        await ask(self._responses.Delete, stored.DeleteRequest(response_id=response_id, principal=principal))

    async def turn(self, turn_id: str) -> TurnRecord:
        """Return what became of a turn; 404 where the server knows none."""
        return (await ask(self._tasks.GetTurn, GetTurnRequest(turn_id=turn_id))).turn

    async def retell(self, request: RetellRequest) -> None:
        """Have a conversation recognised by what its caller was told."""
        await ask(self._conversations.Retell, request)
