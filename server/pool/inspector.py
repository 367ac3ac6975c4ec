"""Looks after sessions before they are missed: checks them, renews them in time, warns of the rest."""

import asyncio
import logging
from typing import Final

from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import AccountState

from server.pool import age
from server.pool.account import AccountId
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.pieces import Seat

_log = logging.getLogger(__name__)
_SHORTEST: Final = 0.05  # seconds between two checks, however many accounts there are


class Inspector:
    """Checks each account once in Terms.session_check, one after another."""

    def __init__(self, desk: Desk, health: Health) -> None:
        self._desk = desk
        self._health = health
        self._every = desk.terms.session_check
        self._warn_us = int(desk.terms.session_warn * 1e6)
        self._checked: dict[AccountId, float] = {}
        self._warned: dict[AccountId, int] = {}

    async def run(self) -> None:
        """Check for ever. The accounts are spread over the time: who was checked longest ago is next."""
        while True:
            known = len(self._inspected())
            await asyncio.sleep(max(self._every / max(known, 1), _SHORTEST))
            seats = self._inspected()
            self._checked = {seat.id: self._checked.get(seat.id, 0.0) for seat in seats}
            self._warned = {seat.id: self._warned[seat.id] for seat in seats if seat.id in self._warned}
            if seats:
                oldest = min(self._checked, key=self._checked.__getitem__)
                self._checked[oldest] = self._desk.now()
                self._desk.chores.spawn(self._inspect(self._desk.board.seats[oldest]))

    def _inspected(self) -> list[Seat]:
        """Return the accounts whose session may work, or may work again: one that was blocked may not."""
        invalid = AccountState.ACCOUNT_STATE_INVALID
        return [
            seat
            for seat in self._desk.board.seats.values()
            if seat.member.enabled and seat.member.cookie and seat.member.state != invalid
        ]

    async def _inspect(self, seat: Seat) -> None:
        await self._health.check(seat.id)
        if age.renewal_due(seat.member, self._desk.now_us()) and seat.login_after <= self._desk.now():
            await self._health.logins.log_in(seat.id)
        self.warn(seat)

    def warn(self, seat: Seat) -> None:
        """Warn of an account's session that ends soon and that no login of ours renews, once per session."""
        member, now_us = seat.member, self._desk.now_us()
        if not age.ending(member, now_us, self._warn_us) or self._warned.get(seat.id) == member.session_us:
            return
        self._warned[seat.id] = member.session_us
        _log.warning("account %s: %s", seat.id, age.told(member, now_us))
        self._desk.tell(PoolEvent.POOL_EVENT_SESSION_ENDING, seat.id)
