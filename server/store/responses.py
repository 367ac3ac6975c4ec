"""Stored responses, in whichever database."""

from howler.response.v1.response_service_pb2 import Response

from server.pool.show import timestamp
from server.store.tables import Tables


class Responses:
    """Finds responses again. Every call raises StoreError when the database fails."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, response: Response) -> bool:
        """Record a response; False where another has its id. The same one twice is no error."""
        columns = {
            "response_id": response.response_id,
            "principal": response.principal,
            "turn_id": response.turn_id,
            "previous_response_id": response.previous_response_id,
            "conversation_id": response.conversation_id,
            "request": response.request,
            "presentation": response.presentation,
            "create_us": response.create_time.ToMicroseconds(),
            "items_heard": response.items_heard,
        }
        if await self._tables.write(response.response_id, "add_response", columns):
            if response.items_heard:
                await self._tables.write(response.conversation_id, "hear_items", columns)
            return True
        return await self.get(response.response_id, response.principal) == response

    async def get(self, response_id: str, principal: str) -> Response | None:
        """Return a response of a principal."""
        asked = {"response_id": response_id, "principal": principal}
        found = await self._tables.read("get_response", asked)
        if not found:
            return None
        row = found[0]
        texts = ("response_id", "principal", "turn_id", "previous_response_id", "conversation_id")
        return Response(
            **{name: row[name] for name in texts},
            request=row["request"],
            presentation=row["presentation"],
            create_time=timestamp(row["create_us"]),
            items_heard=row["items_heard"],
        )

    async def delete(self, response_id: str, principal: str) -> bool:
        """Forget a response; False where there is none."""
        asked = {"response_id": response_id, "principal": principal}
        return bool(await self._tables.write(response_id, "delete_response", asked))

    async def forget(self, before_us: int) -> None:
        """Forget all responses that were recorded before a time, in microseconds since 1970."""
        await self._tables.write("", "forget_responses", {"before_us": before_us})
