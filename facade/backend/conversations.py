"""The server's conversations, as the facade shows them."""

from collections.abc import Mapping, Sequence

import grpc
from howler.conversation.v1 import conversation_service_pb2 as pb
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub

from facade.backend.unary import ask


class Conversations:
    """The conversations of principals. All of it raises ApiError, for another principal's as for none."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ConversationServiceStub(channel)

    async def make(self, principal: str, metadata: Mapping[str, str]) -> pb.Conversation:
        """Make a conversation."""
        request = pb.CreateRequest(principal=principal, metadata=metadata)
        return (await ask(self._stub.Create, request)).conversation

    async def get(self, conversation_id: str, principal: str) -> pb.Conversation:
        """Return a conversation."""
        request = pb.GetRequest(conversation_id=conversation_id, principal=principal)
        return (await ask(self._stub.Get, request)).conversation

    async def update(
        self, conversation_id: str, principal: str, metadata: Mapping[str, str]
    ) -> pb.Conversation:
        """Change what is kept with a conversation."""
        request = pb.UpdateRequest(conversation_id=conversation_id, principal=principal, metadata=metadata)
        return (await ask(self._stub.Update, request)).conversation

    async def delete(self, conversation_id: str, principal: str) -> None:
        """Forget a conversation; one that is not there is no error."""
        await ask(self._stub.Delete, pb.DeleteRequest(conversation_id=conversation_id, principal=principal))

    async def add_items(self, conversation_id: str, principal: str, items: Sequence[pb.Item]) -> None:
        """Keep items with a conversation, behind its others."""
        request = pb.AddItemsRequest(conversation_id=conversation_id, principal=principal, items=items)
        await ask(self._stub.AddItems, request)

    async def items(
        self, conversation_id: str, principal: str, *, unheard: bool = False
    ) -> pb.ListItemsResponse:
        """Return what is in a conversation, or only the items that no response has heard."""
        whole, token = pb.ListItemsResponse(), ""
        while True:
            request = pb.ListItemsRequest(
                conversation_id=conversation_id, principal=principal, unheard=unheard, page_token=token
            )
            page: pb.ListItemsResponse = await ask(self._stub.ListItems, request)
            whole.MergeFrom(page)
            token = page.next_page_token
            if not token:
                return whole

    async def delete_item(self, conversation_id: str, principal: str, item_id: str) -> None:
        """Forget an item of a conversation."""
        request = pb.DeleteItemRequest(conversation_id=conversation_id, principal=principal, item_id=item_id)
        await ask(self._stub.DeleteItem, request)
