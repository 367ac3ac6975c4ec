"""What becomes of the tools that a client declares."""

import enum
from collections.abc import Mapping
from typing import Final

from facade.errors import invalid

CLIENT_TOOLS_HEADER: Final = "x-gateway-client-tools"


class ClientToolsMode(enum.StrEnum):
    """What becomes of the tools that a client declares (HOWLER_CLIENT_TOOLS)."""

    IGNORE = "ignore"
    """They are accepted and not told: the agent has tools of its own."""
    EMULATE = "emulate"
    """The agent is told to call them and not to use its own; the calls go to the client."""

    def asked_by(self, headers: Mapping[str, str]) -> "ClientToolsMode":
        """Return it as the request's header wants it; raises the 400."""
        value = headers.get(CLIENT_TOOLS_HEADER)
        if value is None:
            return self
        try:
            return ClientToolsMode(value.strip().lower())
        except ValueError:
            raise invalid(
                f"The header is none of {', '.join(ClientToolsMode)}.", CLIENT_TOOLS_HEADER
            ) from None
