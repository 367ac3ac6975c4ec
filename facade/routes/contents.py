"""What is in conversations: input and output of the responses made in them, and items that were added."""

from typing import Final, NamedTuple

from howler.conversation.v1.conversation_service_pb2 import Entry
from msgspec import Raw

from facade.errors import ApiError
from facade.openai.shown_items import response_of
from facade.openai.wire import parse
from facade.routes.front import Front
from facade.routes.library import Library
from facade.routes.paging import Paging


class Unheard(NamedTuple):
    """Items that no turn of their conversation was told yet, and the number of the last one."""

    items: list[Raw]
    number: int


NONE_UNHEARD: Final = Unheard([], 0)


class Contents:
    """The items of conversations. What a turn said is read from its log; all of it raises ApiError."""

    def __init__(self, front: Front, library: Library) -> None:
        self._conversations = front.backend.conversations
        self._library = library

    async def unheard(self, conversation_id: str, principal: str) -> Unheard:
        """Return what the next turn has to tell the agent."""
        listed = await self._conversations.items(conversation_id, principal, unheard=True)
        items = [entry.item for entry in listed.entries]
        return Unheard([Raw(item.item.encode()) for item in items], items[-1].number if items else 0)

    async def page(self, conversation_id: str, principal: str, paging: Paging) -> dict[str, object]:
        """Return a page of items; no turn is read that is not on it."""
        listed = await self._conversations.items(conversation_id, principal)
        way = 1 if paging.ascending else -1
        entries = [*listed.entries][::way]
        after = paging.after
        if after:
            at = next((at for at, entry in enumerate(entries) if _may_hold(entry, after)), None)
            if at is None:
                raise paging.unknown()
            entries = entries[at:]
        found = list[dict[str, object]]()
        for entry in entries:
            items = (await self._items(entry, principal))[::way]
            if after:
                ids, sought, after = [item["id"] for item in items], after, ""
                if sought not in ids:
                    raise paging.unknown()
                items = items[ids.index(sought) + 1 :]
            found += [item for item in items if item["id"] not in listed.deleted_item_ids]
            if len(found) > paging.limit:
                break
        return paging.begun(found)

    async def item(self, conversation_id: str, principal: str, item_id: str) -> dict[str, object]:
        """Return an item; raises the 404."""
        listed = await self._conversations.items(conversation_id, principal)
        for entry in listed.entries:
            if item_id in listed.deleted_item_ids or not _may_hold(entry, item_id):
                continue
            for item in await self._items(entry, principal):
                if item["id"] == item_id:
                    return item
        raise ApiError(404, "invalid_request_error", "not_found", "The conversation has no such item.")

    async def _items(self, entry: Entry, principal: str) -> list[dict[str, object]]:
        if entry.HasField("item"):
            return [parse(Raw(entry.item.item.encode()), dict[str, object])]
        return await self._library.items(entry.response_id, principal)


def _may_hold(entry: Entry, item_id: str) -> bool:
    """Tell whether an item may be in a part of a conversation, by its id."""
    return (
        item_id == entry.item.item_id if entry.HasField("item") else response_of(item_id) == entry.response_id
    )
