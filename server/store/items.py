"""What callers add to conversations beside turns, and where in them the stored responses stand."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from howler.conversation.v1.conversation_service_pb2 import Entry, Item

from server.store.rows import Parameters
from server.store.tables import Tables


class Listed(NamedTuple):
    """What is in a conversation, in order, and the ids of items in logs that were deleted."""

    entries: list[Entry]
    deleted: list[str]


class Items:
    """The items of conversations. Every call raises StoreError."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, conversation_id: str, items: Sequence[Item], now_us: int) -> None:
        """Keep items behind all others; `now_us` is the wall clock in microseconds since 1970."""
        added: Parameters = {
            "conversation_id": conversation_id,
            "items": json.dumps([{"id": item.item_id, "item": item.item} for item in items]),
            "now_us": now_us,
        }
        await self._tables.write(conversation_id, "add_items", added)

    async def all(self, conversation_id: str, principal: str) -> Listed:
        """Return the items of a conversation, and the responses that a principal made in it."""
        items, deleted = await self._items("list_items", conversation_id)
        asked: Parameters = {"conversation_id": conversation_id, "principal": principal}
        entries, told = list[Entry](), 0
        for row in await self._tables.read("list_responses", asked):
            while told < len(items) and items[told].number <= row["items_heard"]:
                entries.append(Entry(item=items[told]))
                told += 1
            entries.append(Entry(response_id=row["response_id"]))
        return Listed([*entries, *(Entry(item=item) for item in items[told:])], deleted)

    async def unheard(self, conversation_id: str) -> Listed:
        """Return the items that no turn was told."""
        items, _ = await self._items("list_unheard", conversation_id)
        return Listed([Entry(item=item) for item in items], [])

    async def _items(self, query: str, conversation_id: str) -> tuple[list[Item], list[str]]:
        rows = await self._tables.read(query, {"conversation_id": conversation_id})
        items = [
            Item(item_id=row["item_id"], item=row["item"], number=row["number"])
            for row in rows
            if row["item"] is not None
        ]
        return items, [row["item_id"] for row in rows if row["item"] is None]

    async def delete(self, conversation_id: str, item_id: str) -> None:
        """Forget an item; one that was not added is listed as deleted from now on."""
        which: Parameters = {"conversation_id": conversation_id, "item_id": item_id}
        if not await self._tables.write(conversation_id, "delete_item", which):
            await self._tables.write(conversation_id, "hide_item", which)
