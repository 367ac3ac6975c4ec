"""/v1/conversations and their items."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from howler.conversation.v1.conversation_service_pb2 import Conversation, Item
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from facade.errors import ApiError
from facade.ids import new_id
from facade.openai.continuation import References, resolved, responses_of
from facade.openai.shown_items import added_items
from facade.openai.wire import ConversationBody, ItemsBody, MetadataBody, parse
from facade.routes.contents import Contents
from facade.routes.front import Caller, Front, json_answer, read_body
from facade.routes.library import Library
from facade.routes.paging import Paging

Handle = Callable[[Request], Awaitable[Response]]


def conversation_routes(front: Front) -> list[BaseRoute]:
    """Return the routes, bound to the facade's parts."""
    answers = _Answers(front)
    one, items = "/v1/conversations/{conversation_id}", "/v1/conversations/{conversation_id}/items"
    item = f"{items}/{{item_id}}"
    return [
        Route("/v1/conversations", answers.create, methods=["POST"]),
        Route(one, _or_404(answers.retrieve), methods=["GET"]),
        Route(one, _or_404(answers.update), methods=["POST"]),
        Route(one, _or_404(answers.delete), methods=["DELETE"]),
        Route(items, _or_404(answers.list_items), methods=["GET"]),
        Route(items, _or_404(answers.add_items), methods=["POST"]),
        Route(item, _or_404(answers.retrieve_item), methods=["GET"]),
        Route(item, _or_404(answers.delete_item), methods=["DELETE"]),
    ]


class _Answers:
    """What conversations answer, a method for each route."""

    def __init__(self, front: Front) -> None:
        self._most = front.max_body_bytes
        self._conversations = front.backend.conversations
        self._library = Library(front)
        self._contents = Contents(front, self._library)

    async def create(self, request: Request) -> Response:
        asked = parse(await read_body(request, self._most) or b"{}", ConversationBody)
        who = Caller.of(request).principal
        items = await self._read_items(asked.items or [], who)
        made = await self._conversations.make(who, asked.metadata or {})
        if items:
            try:
                await self._conversations.add_items(made.conversation_id, who, _kept(items))
            except ApiError:
                with suppress(ApiError):  # what was wrong first is told
                    await self._conversations.delete(made.conversation_id, who)  # nobody knows its id
                raise
        return json_answer(_shown(made))

    async def retrieve(self, request: Request) -> Response:
        return json_answer(_shown(await self._conversations.get(*_named(request))))

    async def update(self, request: Request) -> Response:
        asked = parse(await read_body(request, self._most), MetadataBody)
        return json_answer(_shown(await self._conversations.update(*_named(request), asked.metadata or {})))

    async def delete(self, request: Request) -> Response:
        found = await self._conversations.get(*_named(request))
        await self._conversations.delete(*_named(request))
        deleted = {"id": found.conversation_id, "object": "conversation.deleted", "deleted": True}
        return json_answer(deleted)

    async def list_items(self, request: Request) -> Response:
        return json_answer(await self._contents.page(*_named(request), Paging.of(request.query_params)))

    async def add_items(self, request: Request) -> Response:
        asked = parse(await read_body(request, self._most), ItemsBody)
        items = await self._read_items(asked.items, Caller.of(request).principal)
        await self._conversations.add_items(*_named(request), _kept(items))
        return json_answer(Paging(len(items), "", ascending=True).begun(items))

    async def retrieve_item(self, request: Request) -> Response:
        return json_answer(await self._contents.item(*_named(request), request.path_params["item_id"]))

    async def delete_item(self, request: Request) -> Response:
        item = await self._contents.item(*_named(request), request.path_params["item_id"])
        await self._conversations.delete_item(*_named(request), str(item["id"]))
        return json_answer(_shown(await self._conversations.get(*_named(request))))

    async def _read_items(self, items: Sequence[Raw], who: str) -> list[dict[str, object]]:
        """Return items as they are kept, with what they refer to. Raises the 400."""
        said = await self._library.said(References("", responses_of(items, "items")), who, {})
        return added_items(resolved(items, said, "items"), [new_id() for _ in items])


def _or_404(handle: Handle) -> Handle:
    """Return a route that answers 404 where its path names no conversation; a body that does so is wrong."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except ApiError as error:
            if error.code == "conversation_not_found":
                raise ApiError(404, error.type, "not_found", error.message) from None
            raise

    return answer


def _named(request: Request) -> tuple[str, str]:
    """Return the conversation that a path names, and on whose behalf."""
    return request.path_params["conversation_id"], Caller.of(request).principal


def _kept(items: Sequence[Mapping[str, Any]]) -> list[Item]:
    return [Item(item_id=item["id"], item=msgspec.json.encode(item).decode()) for item in items]


def _shown(conversation: Conversation) -> dict[str, object]:
    return {
        "id": conversation.conversation_id,
        "object": "conversation",
        "created_at": conversation.create_time.seconds,
        "metadata": dict(conversation.metadata),
    }
