"""Tells a platform that takes no session from sessions that are over. PURE.

A Redis of the platform that is away looks like an expired session on every account (upstream-protocol §1.3):
when all accounts are refused within a short time, and none was taken in between, it is the platform.
"""

from collections.abc import Collection
from typing import Final

from server.pool.account import AccountId

WINDOW: Final = 30.0
"""Seconds: long enough to ask the other accounts, short beside the days over which sessions end."""

FEWEST: Final = 2
"""Of a single account nobody can tell: it is taken for expired."""


class Refusals:
    """Whose sessions were refused lately. `now` is in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._refused: dict[AccountId, float] = {}
        self.outage = False

    def refused(self, account_id: AccountId, now: float) -> None:
        """Take note of a session that the platform refused."""
        self._refused[account_id] = now

    def taken(self) -> None:
        """Take note of a session that the platform took: what it refused before, it meant."""
        self._refused.clear()
        self.outage = False

    def lately(self, now: float) -> frozenset[AccountId]:
        """Return whose sessions were refused within WINDOW; older refusals are forgotten."""
        self._refused = {
            account_id: when for account_id, when in self._refused.items() if now - when <= WINDOW
        }
        return frozenset(self._refused)

    def judge(self, accounts: Collection[AccountId], now: float) -> bool:
        """Tell whether the platform refuses all of `accounts`, those that had a session just now."""
        lately = self.lately(now)
        self.outage = self.outage or (len(lately) >= FEWEST and lately.issuperset(accounts))
        return self.outage
