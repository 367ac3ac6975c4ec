"""ConversationService: checks what callers say, reads the store, ends turns wherever they run."""

import time
import uuid
from typing import Any, Final

import grpc
from howler.conversation.v1 import conversation_service_pb2 as pb
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceServicer
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Transcript

from server.conversation.plan import Known
from server.conversation.thread import digest, thread_of
from server.errors import ServiceError
from server.rpc.checks import MAX_ID_BYTES, check_size, invalid
from server.rpc.reach import Reach
from server.store.conversations import ConversationCursor, Conversations

_Context = grpc.aio.ServicerContext[Any, Any]
_PAGE, _MAX_PAGE = 100, 1000
_MAX_ENTRIES: Final = 16
_MAX_KEY_BYTES: Final = 64
_MAX_VALUE_BYTES: Final = 512


class ConversationService(ConversationServiceServicer):
    """The door to conversations; turns run in them through TaskService."""

    def __init__(self, conversations: Conversations, reach: Reach) -> None:
        self._conversations = conversations
        self._reach = reach

    async def Create(self, request: pb.CreateRequest, context: _Context) -> pb.CreateResponse:
        """Make a conversation."""
        check_size("principal", request.principal, MAX_ID_BYTES)
        _check_metadata(request)
        made = pb.Conversation(
            conversation_id=f"conv_{uuid.uuid4().hex}", principal=request.principal, metadata=request.metadata
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
        known = await self._known(request.conversation_id)
        if not request.with_history:
            return pb.GetResponse(conversation=known.shown)
        said = Transcript(messages=await self._conversations.said(known.id))
        return pb.GetResponse(conversation=known.shown, history=said)

    async def Retell(self, request: pb.RetellRequest, context: _Context) -> pb.RetellResponse:
        """Have a conversation recognised by what its caller was told."""
        known = await self._known(request.conversation_id)
        if known.shown.principal not in ("", request.principal):
            raise _unknown()
        await self._conversations.retell(known.id, request.turn_id, thread_of(request.history.messages))
        return pb.RetellResponse()

    async def _known(self, conversation_id: str) -> Known:
        known = await self._conversations.get(conversation_id)
        if known is None:
            raise _unknown()
        return known

    async def List(self, request: pb.ListRequest, context: _Context) -> pb.ListResponse:
        """Return a page of conversations."""
        size = min(request.page_size or _PAGE, _MAX_PAGE)
        if size < 0:
            raise invalid("page_size must not be negative")
        if request.state not in pb.ConversationState.values():
            raise invalid("state is no ConversationState")
        after = _cursor(request.page_token)
        found = await self._conversations.page(request.state, request.principal, size + 1, after)
        page = found[:size]
        token = _token(ConversationCursor.behind(page[-1])) if len(found) > size else ""
        return pb.ListResponse(conversations=page, next_page_token=token)

    async def Delete(self, request: pb.DeleteRequest, context: _Context) -> pb.DeleteResponse:
        """Forget a conversation, and end its turn and its task."""
        task_id = await self._conversations.delete(request.conversation_id)
        if task_id is not None:
            await self._reach.end_conversation(request.conversation_id, task_id)
        return pb.DeleteResponse()


def _check_metadata(request: pb.CreateRequest) -> None:
    if len(request.metadata) > _MAX_ENTRIES:
        raise invalid(f"metadata: more than {_MAX_ENTRIES} entries")
    for key, value in request.metadata.items():
        check_size("metadata: a key", key, _MAX_KEY_BYTES)
        check_size("metadata: a value", value, _MAX_VALUE_BYTES)


def _token(cursor: ConversationCursor) -> str:
    return f"{cursor.last_used_us}.{cursor.conversation_id}"


def _cursor(token: str) -> ConversationCursor | None:
    if not token:
        return None
    used, _, conversation_id = token.partition(".")
    if not (used.isascii() and used.isdecimal() and len(used) < 19 and conversation_id):
        raise invalid("page_token is none that List gave")
    return ConversationCursor(int(used), conversation_id)


def _unknown() -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_CONVERSATION_NOT_FOUND, "Howler holds no such conversation")
