"""Which turns are let through cooldowns to find out whether these can end. PURE.

A probe exists for a cooldown that this process began, and stays when the cooldown's time is over, half-open:
until the platform has taken one turn it lets through one at a time.
"""

from dataclasses import dataclass
from typing import Final

from howler.pool.v1.cooldown_pb2 import CooldownScope

from server.pool.account import AccountId, LeaseId

CooldownKey = tuple[AccountId, CooldownScope, str]
"""The account of a cooldown, its scope, and the platform's id of the model where the scope is one."""

PROBE_SECONDS: Final = 60.0
"""Between two turns that are let through a long cooldown: so soon an early end of its cause is found."""

TRIAL_SECONDS: Final = 10.0
"""How long the others wait for the turn that was let through once the cooldown's time is over."""


@dataclass(slots=True)
class Probe:
    """The next turn may be let through at `after`; `lease_id` is the one that was and runs now.

    `strikes` counts the cooldowns in a row before this one.
    """

    after: float
    strikes: int = 0
    lease_id: LeaseId = LeaseId("")


class Probes(dict[CooldownKey, Probe]):
    """The probes by what their cooldown covers. Moments are of the board's clock."""

    def running(self, key: CooldownKey) -> bool:
        """Tell whether a turn that was let through runs now."""
        probe = self.get(key)
        return probe is not None and bool(probe.lease_id)

    def let_through(self, key: CooldownKey, lease_id: LeaseId, now: float, *, cooling: bool) -> None:
        """Take note that a turn goes through; `cooling` says that the cooldown's time is not over."""
        if probe := self.get(key):
            probe.lease_id = lease_id
            probe.after = now + (PROBE_SECONDS if cooling else TRIAL_SECONDS)

    def told_nothing(self, key: CooldownKey, *, cooling: bool) -> None:
        """Take note that the turn which was let through is over without a verdict: another may try."""
        if probe := self.get(key):
            probe.lease_id = LeaseId("")
            if not cooling:
                probe.after = 0.0

    def over(self, key: CooldownKey, now: float) -> None:
        """Take note that the cooldown's time is over: it is half-open."""
        if probe := self.get(key):
            probe.after = now + TRIAL_SECONDS if probe.lease_id else now

    def of(self, lease_id: LeaseId) -> list[CooldownKey]:
        """Return what the turn of a lease was let through."""
        return [key for key, probe in self.items() if probe.lease_id == lease_id] if self else []
