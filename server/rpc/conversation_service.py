"""ConversationService: checks what callers say, reads the store, ends turns wherever they run."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
from howler.conversation.v1 import conversation_service_pb2 as pb
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceServicer
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Transcript

from server.conversation.plan import Known
from server.conversation.thread import digest, thread_of
from server.errors import ServiceError
from server.ids import new_id
from server.rpc.checks import MAX_ID_BYTES, check_size, invalid
from server.rpc.paging import cursor_of, cut, page_size
from server.rpc.reach import Reach
from server.store.conversations import Conversations
from server.store.items import Items
from server.store.pages import behind_conversation

_Context = grpc.aio.ServicerContext[Any, Any]
_MAX_ENTRIES: Final = 16
_MAX_KEY_BYTES: Final = 64
_MAX_VALUE_BYTES: Final = 512
_MAX_ITEMS: Final = 1000
_MAX_ITEMS_BYTES: Final = 15 << 20


class ConversationService(ConversationServiceServicer):
    """The door to conversations; turns run in them through TaskService."""

    def __init__(self, conversations: Conversations, items: Items, reach: Reach) -> None:
        self._conversations = conversations
        self._items = items
        self._reach = reach

    async def Create(self, request: pb.CreateRequest, context: _Context) -> pb.CreateResponse:
        """Make a conversation."""
        check_size("principal", request.principal, MAX_ID_BYTES)
        _check_metadata(request.metadata)
        made = pb.Conversation(
            conversation_id=new_id("conv"), principal=request.principal, metadata=request.metadata
        )
        known = Known(
            made,
            thread=thread_of(request.history.messages),
            instructions=digest(request.instructions),
            told=request.instructions,
            keeps=True,
        )
        await self._conversations.add(known, request.history, time.time_ns() // 1000)
        return pb.CreateResponse(conversation=(await self._known(made.conversation_id)).shown)

    async def Get(self, request: pb.GetRequest, context: _Context) -> pb.GetResponse:
        """Return a conversation."""
        known = await self._known(request.conversation_id, request.principal)
        if not request.with_history:
            return pb.GetResponse(conversation=known.shown)
        said = Transcript(messages=await self._conversations.said(known.id))
        return pb.GetResponse(conversation=known.shown, history=said)

    async def Update(self, request: pb.UpdateRequest, context: _Context) -> pb.UpdateResponse:
        """Change what the caller keeps with a conversation."""
        _check_metadata(request.metadata)
        known = await self._known(request.conversation_id, request.principal)
        await self._conversations.change_metadata(known.id, request.metadata)
        return pb.UpdateResponse(conversation=(await self._known(known.id)).shown)

    async def AddItems(self, request: pb.AddItemsRequest, context: _Context) -> pb.AddItemsResponse:
        """Keep items with a conversation."""
        _check_items(request.items)
        known = await self._known(request.conversation_id, request.principal)
        await self._items.add(known.id, request.items, time.time_ns() // 1000)
        return pb.AddItemsResponse()

    async def ListItems(self, request: pb.ListItemsRequest, context: _Context) -> pb.ListItemsResponse:
        """Return what is in a conversation."""
        known = await self._known(request.conversation_id, request.principal)
        if request.unheard:
            entries, deleted = await self._items.unheard(known.id)
        else:
            entries, deleted = await self._items.all(known.id, request.principal or known.shown.principal)
        at = _offset(request.page_token)
        page, size = list[pb.Entry](), 0
        for entry in entries[at:]:
            size += entry.ByteSize()
            if page and size > _MAX_ITEMS_BYTES:
                break
            page.append(entry)
        behind = at + len(page)
        token = str(behind) if behind < len(entries) else ""
        return pb.ListItemsResponse(entries=page, deleted_item_ids=deleted, next_page_token=token)

    async def DeleteItem(self, request: pb.DeleteItemRequest, context: _Context) -> pb.DeleteItemResponse:
        """Forget an item."""
        check_size("item_id", request.item_id, MAX_ID_BYTES)
        known = await self._known(request.conversation_id, request.principal)
        await self._items.delete(known.id, request.item_id)
        return pb.DeleteItemResponse()

    async def Retell(self, request: pb.RetellRequest, context: _Context) -> pb.RetellResponse:
        """Have a conversation recognised by what its caller was told."""
        told = thread_of(request.history.messages)
        if request.HasField("before"):
            before = thread_of(request.before.messages)
            await self._conversations.retell_left(request.principal, request.session, before, told)
            return pb.RetellResponse()
        known = await self._known(request.conversation_id)
        if known.shown.principal not in ("", request.principal):
            raise _unknown()
        await self._conversations.retell(known.id, request.turn_id, told)
        return pb.RetellResponse()

    async def _known(self, conversation_id: str, principal: str = "") -> Known:
        known = await self._conversations.get(conversation_id)
        if known is None or not _is_whose(known, principal):
            raise _unknown()
        return known

    async def List(self, request: pb.ListRequest, context: _Context) -> pb.ListResponse:
        """Return a page of conversations."""
        if request.state not in pb.ConversationState.values():
            raise invalid("state is no ConversationState")
        size, after = page_size(request.page_size), cursor_of(request.page_token, "List")
        found = await self._conversations.page(request.state, request.principal, size + 1, after)
        page, token = cut(found, size, behind_conversation)
        return pb.ListResponse(conversations=page, next_page_token=token)

    async def Delete(self, request: pb.DeleteRequest, context: _Context) -> pb.DeleteResponse:
        """Forget a conversation, and end its turn and its task."""
        known = await self._conversations.get(request.conversation_id)
        if known is None or not _is_whose(known, request.principal):
            return pb.DeleteResponse()
        task_id = await self._conversations.delete(known.id)
        if task_id is not None:
            await self._reach.end_conversation(known.id, task_id)
        return pb.DeleteResponse()


def _is_whose(known: Known, principal: str) -> bool:
    """Tell whether a conversation is a principal's; "" asks for anybody's."""
    return not principal or known.shown.principal in ("", principal)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > _MAX_ENTRIES:
        raise invalid(f"metadata: more than {_MAX_ENTRIES} entries")
    for key, value in metadata.items():
        check_size("metadata: a key", key, _MAX_KEY_BYTES)
        check_size("metadata: a value", value, _MAX_VALUE_BYTES)


def _check_items(items: Sequence[pb.Item]) -> None:
    if len(items) > _MAX_ITEMS:
        raise invalid(f"items: more than {_MAX_ITEMS}")
    if sum(len(item.item.encode()) for item in items) > _MAX_ITEMS_BYTES:
        raise invalid(f"items: together longer than {_MAX_ITEMS_BYTES >> 20} MiB")
    for item in items:
        if not item.item_id:
            raise invalid("items: one has no item_id")
        check_size("items: an item_id", item.item_id, MAX_ID_BYTES)
        if "\0" in item.item:
            raise invalid("items: one holds the character NUL")


def _offset(token: str) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 9):
        raise invalid("page_token is none that ListItems gave")
    return int(token)


def _unknown() -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_CONVERSATION_NOT_FOUND, "Howler holds no such conversation")
