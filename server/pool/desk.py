"""What the parts of the pool work with: the board, the ledger, the clock, the alarm, who watches."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from howler.pool.v1.pool_service_pb2 import Account, PoolEvent

from server.pool import show
from server.pool.account import AccountId
from server.pool.board import Board
from server.pool.chores import Alarm, Chores
from server.pool.ledger import Ledger
from server.pool.watchers import Watchers


@dataclass(frozen=True, slots=True)
class Desk:
    """`wall` is the wall clock in seconds since 1970, for records; deadlines use `now`."""

    board: Board
    ledger: Ledger
    chores: Chores
    alarm: Alarm
    watchers: Watchers
    wall: Callable[[], float]
    new_id: Callable[[str], str]

    def now(self) -> float:
        """Return the seconds of the loop's monotonic clock: what the board's moments are of."""
        return asyncio.get_running_loop().time()

    def now_us(self) -> int:
        """Return the microseconds since 1970."""
        return int(self.wall() * 1e6)

    def tell(self, event: PoolEvent, account_id: AccountId) -> None:
        """Tell who watches."""
        if self.watchers.present:
            seat = self.board.seats.get(account_id)
            self.watchers.tell(
                event,
                Account(account_id=account_id) if seat is None else show.account(self.board, seat),
            )
