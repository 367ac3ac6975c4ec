"""What the parts of the pool work with: the board, the ledger, the clock, the alarm, who watches."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import Account

from server.errors import ServiceError
from server.pool import show
from server.pool.account import AccountId, Member
from server.pool.board import Board
from server.pool.chores import Alarm, Chores
from server.pool.ledger import Ledger
from server.pool.mirror import Mirror
from server.pool.pieces import Cooling
from server.pool.probes import CooldownKey
from server.pool.terms import Terms
from server.pool.watchers import Watchers


@dataclass(frozen=True, slots=True)
class Desk:
    """`wall` is the wall clock in seconds since 1970, for records; deadlines use `now`.

    What is changed for all replicas is written to the ledger first and then put on the board.
    """

    board: Board
    ledger: Ledger
    mirror: Mirror
    chores: Chores
    alarm: Alarm
    watchers: Watchers
    terms: Terms
    wall: Callable[[], float]
    new_id: Callable[[str], str]
    _editing: WeakValueDictionary[AccountId, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def now(self) -> float:
        """Return the seconds of CLOCK_MONOTONIC: what the board's moments are of, as the loop's are."""
        return time.monotonic()

    def now_us(self) -> int:
        """Return the microseconds since 1970."""
        return int(self.wall() * 1e6)

    def tell(self, event: PoolEvent, account_id: AccountId) -> None:
        """Tell who watches, now or from an earlier cursor."""
        self.watchers.tell(event, lambda: self._shown(account_id))

    def _shown(self, account_id: AccountId) -> Account:
        seat = self.board.seats.get(account_id)
        return Account(account_id=account_id) if seat is None else show.account(self.board, seat)

    async def edit(self, account_id: AccountId, change: Callable[[Member], Member]) -> Member | None:
        """Change an account's record and return it as it is then; None when the account is gone.

        `change` is given the record anew whenever another replica was first; it may return it as it is.
        Raises ALREADY_EXISTS when the record names the user of another account.
        """
        async with self._editing.setdefault(account_id, asyncio.Lock()):
            while (seat := self.board.seats.get(account_id)) is not None:
                before = seat.member
                changed = change(before)
                if changed == before:
                    return before
                if await self.ledger.put_account(changed):
                    written = replace(changed, version=before.version + 1)
                    return self._put(written)
                await self.mirror.refresh({account_id})
                seat = self.board.seats.get(account_id)
                if seat is not None and seat.member.version == before.version:
                    raise ServiceError(
                        ErrorReason.ERROR_REASON_ALREADY_EXISTS, "the user has another account here"
                    )
        return None

    def _put(self, written: Member) -> Member:
        """Put a record on the board, unless it shows a later one by now."""
        seat = self.board.seats.get(written.account_id)
        if seat is not None and seat.member.version < written.version:
            self.board.put(written)
        return written

    async def cool(self, account_id: AccountId, cooldown: Cooldown, seconds: float) -> Cooling:
        """Begin a cooldown (account "" for the whole platform) in place of the one that covers the same."""
        await self.ledger.cool(account_id, cooldown, seconds)
        cooling = Cooling(account_id, cooldown, self.now() + seconds)
        self.board.cool(cooling)
        self.alarm.by(cooling.until)
        return cooling

    async def warm(self, key: CooldownKey) -> Cooling | None:
        """End a cooldown and return it; None where there is none."""
        cooling = self.board.coolings.get(key)
        if cooling is None:
            return None
        await self.ledger.uncool(cooling.account_id, cooling.cooldown)
        return self.board.warm(key)
