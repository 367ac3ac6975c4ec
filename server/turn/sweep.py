"""What is done about turns every so often, for nobody in particular."""

import asyncio
import logging
import time
from typing import Final

from server.errors import incident
from server.store.errors import StoreError
from server.store.responses import Responses
from server.store.turns import TurnStore
from server.turn.hub import Hub

_log = logging.getLogger(__name__)

_PERIOD: Final = 30.0  # seconds between two rounds, at most
_BATCH: Final = 20  # turns that one write drops: it holds up others no longer than that


class Sweep:
    """Forgets turns, and responses, that nobody may ask for any more; ends those that nobody can go on with.

    `retention` is how long, in seconds, the log of a durable turn is kept after its end; `longest` how long a
    turn may take.
    """

    def __init__(
        self, hub: Hub, turns: TurnStore, responses: Responses, *, retention: float, longest: float
    ) -> None:
        self._hub = hub
        self._turns = turns
        self._responses = responses
        self._strays: dict[str, str] = {}
        self._retention = retention
        self._longest = longest
        self._period = min(_PERIOD, retention / 4)

    async def run(self) -> None:
        """Make a round every so often, for ever."""
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.once()
            except StoreError as error:
                _log.warning("old turns could not be forgotten yet: %s", error)
            except Exception as error:
                incident(error, "sweep")

    async def once(self) -> None:
        """Make a round. Raises StoreError."""
        self._hub.finished.expire()
        await self._end_strays()
        ended_us = int((time.time() - self._retention) * 1e6)
        made_us = ended_us - int(self._longest * 1e6)
        await self._responses.forget(made_us)
        while await self._turns.sweep(ended_us, made_us, _BATCH) == _BATCH:
            await asyncio.sleep(0)

    async def _end_strays(self) -> None:
        """End those that were left the round before, too: one that ends by itself is a stray for a moment."""
        strays, before = await self._turns.strays(), self._strays
        self._strays = strays
        for turn_id, replica in strays.items():
            if before.get(turn_id) == replica:
                await self._hub.end_stray(turn_id)
