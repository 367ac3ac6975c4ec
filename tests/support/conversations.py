"""Conversations as tests make them and look at them, over gRPC."""

from typing import Any

from howler.conversation.v1.conversation_service_pb2 import Conversation, CreateRequest, GetRequest

from tests.support.howler import Howler


async def made(howler: Howler, **fields: Any) -> str:
    """Make a conversation and return its id."""
    conversation = (await howler.conversations.Create(CreateRequest(**fields))).conversation
    return str(conversation.conversation_id)


async def shown(howler: Howler, conversation_id: str) -> Conversation:
    """Return a conversation."""
    got = await howler.conversations.Get(GetRequest(conversation_id=conversation_id))
    conversation: Conversation = got.conversation
    return conversation
