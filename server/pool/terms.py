"""What an operator says about the pool, in seconds where not said otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """How leases are given.

    A lease lasts `ttl` and is renewed every `renew`; its holder stops `margin` before its end, and its slot
    may be somebody else's `reclaim` after it. `slots` is how many active tasks an account has whose record
    does not say.

    Each session is checked once in `session_check`. An operator is warned `session_warn` before the end of
    one that no login renews.

    Idle tasks are stopped so that `free_slots` are free before anybody asks; None means one of four, and at
    least one where there are two.
    """

    slots: int = 1
    ttl: float = 15.0
    renew: float = 5.0
    margin: float = 2.0
    reclaim: float = 10.0
    session_check: float = 3600.0
    session_warn: float = 5 * 86_400.0
    free_slots: int | None = 0

    def spare(self, slots: int) -> int:
        """Return how many of so many slots shall be free."""
        if self.free_slots is None:
            return min(max(slots // 4, 1), slots - 1)  # an only one may keep what it remembers
        return min(self.free_slots, slots)

    def belief(self, ttl: float) -> float:
        """Return how long the holder of a lease of `ttl` may use it after it asked for it."""
        return ttl - min(self.margin, ttl / 4)  # a caller may ask for leases that are shorter than the margin
