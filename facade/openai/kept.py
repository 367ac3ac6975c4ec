"""What is kept of a stored response, so that its turn's log tells it again, byte by byte. Pure."""

from typing import Self

import msgspec
from howler.response.v1.response_service_pb2 import Response
from msgspec import Raw, Struct

from facade.openai.presentation import Presentation


class Kept(Struct):
    """How a response was asked for and is told.

    `body` is the request, written out in full; the first `before` items of its
    input come from responses before. `created_at` is in seconds since 1970.
    `client_tools` is the mode of their emulation.
    """

    body: Raw
    before: int
    created_at: int
    background: bool
    client_tools: str
    shown: Presentation
    previous_response_id: str | None = None
    conversation: str | None = None

    @classmethod
    def of(cls, response: Response) -> Self:
        """Read what was kept of a response."""
        kept = msgspec.json.decode(response.presentation, type=cls)
        kept.body = Raw(response.request)
        return kept

    def response(self, unique: str, principal: str) -> Response:
        """Return what to keep of the response of this id; its turn has the same."""
        about = msgspec.structs.replace(self, body=Raw(b"null"))
        return Response(
            response_id=response_id(unique),
            principal=principal,
            turn_id=turn_id(unique),
            previous_response_id=self.previous_response_id or "",
            conversation_id=self.conversation or "",
            request=bytes(self.body),
            presentation=msgspec.json.encode(about),
        )


def response_id(unique: str) -> str:
    """Return the id of the response."""
    return f"resp_{unique}"


def turn_id(unique: str) -> str:
    """Return the id of its turn."""
    return f"turn_{unique}"


def unique_of(response: str) -> str:
    """Return what the ids of a response, its turn and its items are made of."""
    return response.removeprefix("resp_")
