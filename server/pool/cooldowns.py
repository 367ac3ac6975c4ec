"""Cooldowns: begun, probed, renewed and ended; and the breaker of the platform as a whole.

A cooldown that this process began is half-open: one turn is let through after its end, and every
PROBE_SECONDS within a long one. If the platform takes that turn the cooldown is over, if it fails again the
cooldown is renewed, longer. Other replicas wait for its end.
"""

import logging
from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope
from howler.pool.v1.pool_event_pb2 import PoolEvent

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, LeaseId
from server.pool.breaker import Breaker
from server.pool.desk import Desk
from server.pool.pieces import PLATFORM, PLATFORM_KEY, Cooling
from server.pool.probes import PROBE_SECONDS, CooldownKey, Probe
from server.pool.show import timestamp
from server.pool.treatment import Cool

_log = logging.getLogger(__name__)
_E = ErrorReason
_SCOPE = CooldownScope


class Cooldowns:
    """What cools. `changed` is called when something changed that may matter to those who wait."""

    def __init__(self, desk: Desk, *, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._board = desk.board
        self._changed = changed
        self._breaker = Breaker()
        self._beginning: dict[CooldownKey, float] = {}

    async def cool(
        self, account_id: AccountId, reason: ErrorReason, cure: Cool, upstream_model_id: str = ""
    ) -> None:
        """Begin a cooldown, or renew it, for a failure met on an account."""
        at = PLATFORM if cure.scope == _SCOPE.COOLDOWN_SCOPE_UPSTREAM else account_id
        model = upstream_model_id if cure.scope == _SCOPE.COOLDOWN_SCOPE_ACCOUNT_MODEL else ""
        key: CooldownKey = (at, cure.scope, model)
        strikes = self._strikes(key)
        seconds = cure.after(strikes)
        if self._left(key) < seconds:
            await self._begin(key, reason, seconds, strikes)

    async def trip(self, reason: ErrorReason) -> None:
        """Count a failure of the platform itself, which cools it once there were enough in a row."""
        if self._left(PLATFORM_KEY) > 0 and not self._board.probes.running(PLATFORM_KEY):
            return  # of a turn that was under way when it tripped: no news
        if seconds := self._breaker.failed(probe=PLATFORM_KEY in self._board.probes):
            await self._begin(PLATFORM_KEY, reason, seconds, strikes=0)

    async def hold(self, reason: ErrorReason, seconds: float) -> None:
        """Cool the platform for a reason that no turn may probe."""
        await self._begin(PLATFORM_KEY, reason, seconds, strikes=0, probed=False)

    def _left(self, key: CooldownKey) -> float:
        """Return for how long a cooldown goes on, one that is being recorded included."""
        cooling = self._board.coolings.get(key)
        until = max(cooling.until if cooling is not None else 0.0, self._beginning.get(key, 0.0))
        return until - self._desk.now()

    def _strikes(self, key: CooldownKey) -> int:
        """Return how many cooldowns in a row came before one that begins now.

        A failure while one is in force counts only if it is the probe's: others had begun before.
        """
        probe = self._board.probes.get(key)
        if probe is None:
            return 0
        return probe.strikes + (self._left(key) <= 0 or self._board.probes.running(key))

    async def _begin(
        self, key: CooldownKey, reason: ErrorReason, seconds: float, strikes: int, *, probed: bool = True
    ) -> None:
        account_id, scope, model = key
        now = self._desk.now()
        cooldown = Cooldown(
            reason=reason_name(reason),
            scope=scope,
            until_time=timestamp(self._desk.now_us() + int(seconds * 1e6)),
            upstream_model_id=model,
        )
        _log.info("account %s: cooling for %g s, %s", account_id or "(all)", seconds, cooldown.reason)
        self._beginning[key] = now + seconds
        try:
            cooling = await self._desk.cool(account_id, cooldown, seconds)
        finally:
            self._beginning.pop(key, None)
        if probed:
            self._board.probes[key] = Probe(min(cooling.until, now + PROBE_SECONDS), strikes)
        self._tell(PoolEvent.POOL_EVENT_COOLING, cooling)
        self._changed()

    def adopt(self) -> None:
        """Probe the cooldowns that were there before this process too: who began them may be gone."""
        now = self._desk.now()
        for cooling in self._board.coolings.values():
            self._board.probes[cooling.key] = Probe(min(cooling.until, now + PROBE_SECONDS))

    def ended_elsewhere(self, cooling: Cooling) -> None:
        """Another replica found out that a cooldown is over, or an operator ended it there."""
        self._board.probes.pop(cooling.key, None)
        self._tell(PoolEvent.POOL_EVENT_COOLED, cooling)

    def expire(self, now: float) -> None:
        """Take the cooldowns that are over off the board; the ledger drops its own. See Board.probes."""
        for cooling in [cooling for cooling in self._board.coolings.values() if cooling.until <= now]:
            self._board.warm(cooling.key)
            self._board.probes.over(cooling.key, now)
            self._tell(PoolEvent.POOL_EVENT_COOLED, cooling)

    async def proven(self, lease_id: LeaseId) -> None:
        """Take note that the platform took a turn: what it probed is over, and the platform is well."""
        self._breaker.succeeded()
        keys = self._board.probes.of(lease_id)
        if PLATFORM_KEY in self._board.probes and PLATFORM_KEY not in keys:
            keys.append(PLATFORM_KEY)
        for key in keys:
            await self._end(key)
        if keys:
            self._changed()

    async def release(self, reason: ErrorReason) -> None:
        """End what `hold` began for this reason."""
        cooling = self._board.coolings.get(PLATFORM_KEY)
        if cooling is not None and cooling.cooldown.reason == reason_name(reason):
            await self._end(PLATFORM_KEY)
            self._changed()

    async def reset(self, account_id: AccountId, upstream_model_id: str = "") -> list[Cooldown]:
        """End the cooldowns of an account, of one of its models, or of the platform (PLATFORM); return them.

        Raises ACCOUNT_NOT_FOUND.
        """
        if account_id != PLATFORM and account_id not in self._board.seats:
            raise ServiceError(_E.ERROR_REASON_ACCOUNT_NOT_FOUND, "no such account")
        if account_id == PLATFORM:
            self._breaker.succeeded()
        keys = [
            key
            for key in {**self._board.coolings, **self._board.probes}
            if key[0] == account_id and upstream_model_id in ("", key[2])
        ]
        now = self._desk.now()
        ended = [
            cooling.cooldown
            for key in keys
            if (cooling := self._board.coolings.get(key)) is not None and cooling.until > now
        ]
        for key in keys:
            await self._end(key)
        self._changed()
        return ended

    async def _end(self, key: CooldownKey) -> None:
        self._board.probes.pop(key, None)
        cooling = await self._desk.warm(key)
        if cooling is not None:
            self._tell(PoolEvent.POOL_EVENT_COOLED, cooling)

    def _tell(self, event: PoolEvent, cooling: Cooling) -> None:
        covered = list(self._board.seats) if cooling.account_id == PLATFORM else [cooling.account_id]
        for account_id in covered:
            self._desk.tell(event, account_id)
