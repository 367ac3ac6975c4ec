"""What is kept of a stored response, so that its turn's log tells it again, byte by byte. Pure."""

from typing import Final, Self

import msgspec
from howler.response.v1.response_service_pb2 import Response
from howler.task.v1.start_turn_pb2 import DetachAction, Durability, OnDetach, StartTurn
from msgspec import Raw, Struct

from facade.errors import invalid
from facade.openai.presentation import Presentation

_KEEP: Final = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
_DURABLE: Final = Durability.DURABILITY_DURABLE
_MOST_BYTES: Final = 14 << 20  # of a request: the server keeps 15 MiB of a response


class Kept(Struct):
    """How a response was asked for and is told.

    `body` is the request, written out in full; the first `before` items of its
    input come from before. `created_at` is in seconds since 1970.
    `client_tools` is the mode of their emulation. `items_heard` is the number of the last item of the
    conversation that is in the input. `alone` says that the response is found by its conversation alone: it
    was not to be stored.
    """

    body: Raw
    before: int
    created_at: int
    client_tools: str
    shown: Presentation
    previous_response_id: str | None = None
    conversation: str | None = None
    items_heard: int = 0
    alone: bool = False

    @classmethod
    def of(cls, response: Response) -> Self:
        """Read what was kept of a response."""
        kept = msgspec.json.decode(response.presentation, type=cls)
        kept.body = Raw(response.request)
        return kept

    def response(self, unique: str, principal: str) -> Response:
        """Return what to keep of the response of this id. Raises the 400 for too much."""
        if len(bytes(self.body)) > _MOST_BYTES:
            raise invalid(
                "What was said so far is too long to be stored: send it with `store: false`, or begin anew.",
                "input",
                "context_length_exceeded",
            )
        about = msgspec.structs.replace(self, body=Raw(b"null"))
        return Response(
            response_id=response_id(unique),
            principal=principal,
            turn_id=turn_id(unique),
            previous_response_id=self.previous_response_id or "",
            conversation_id=self.conversation or "",
            request=bytes(self.body),
            presentation=msgspec.json.encode(about),
            items_heard=self.items_heard,
        )


def bind(start: StartTurn, unique: str, *, background: bool, keep_alive: float | None) -> None:
    """Have the turn of a stored response outlive its process, a background response's its caller, too.

    Its silences of `keep_alive` seconds are events of its log, so that all who are told it number alike.
    """
    start.turn_id = turn_id(unique)
    start.durability = _DURABLE
    if background:
        start.on_detach.CopyFrom(_KEEP)
    if keep_alive is not None:
        start.keep_alive.FromMilliseconds(int(max(keep_alive, 1.0) * 1000))


def response_id(unique: str) -> str:
    """Return the id of the response."""
    return f"resp_{unique}"


def turn_id(unique: str) -> str:
    """Return the id of its turn."""
    return f"turn_{unique}"


def unique_of(response: str) -> str:
    """Return what the ids of a response, its turn and its items are made of."""
    return response.removeprefix("resp_")
