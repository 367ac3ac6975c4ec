"""The scenarios, in three sizes. The full ones are those of the anchors, so that figures can be compared."""

from dataclasses import dataclass, replace
from typing import Final, Literal

from bench.tokens import Ask

Size = Literal["full", "quick", "smoke"]


@dataclass(frozen=True, slots=True)
class Goal:
    """What Howler's two processes together may take at most, normalised: the `must` of the bench's issue."""

    cpu: float | None = None
    ttft_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load. `per` is what CPU time is divided by: microseconds per event, or milliseconds per request."""

    name: str
    streams: int
    at_once: int
    ask: Ask
    ramp: float = 0.0
    per: Literal["event", "request"] = "event"
    goal: Goal = Goal()

    @property
    def meaning(self) -> str:
        """Return what it does in a line for people."""
        streams = f"{self.streams} streams"
        if self.at_once < self.streams:
            streams += f", {self.at_once} at a time" if self.at_once > 1 else " one after the other"
        pace = f"{self.ask.every_ms:g} ms apart" if self.ask.every_ms else "as fast as they are read"
        tokens = "1 token each" if self.ask.tokens == 1 else f"{self.ask.tokens} tokens each {pace}"
        ramp = f", started over {self.ramp:g} s" if self.ramp else ""
        return f"{streams}, {tokens}{ramp}"

    @property
    def expected_seconds(self) -> float:
        """Return how long the tokens alone take, and a little for all else."""
        waves = -(-self.streams // self.at_once)
        return waves * self.ask.tokens * self.ask.every_ms / 1000 + self.ramp + 1.2

    @property
    def unit(self) -> str:
        """Return the unit of its CPU figures."""
        return "µs/event" if self.per == "event" else "ms/request"


_FULL: Final = [
    Scenario("burst", 300, 50, Ask(200), goal=Goal(cpu=20.0)),
    Scenario("p1", 40, 1, Ask(10, 20), goal=Goal(ttft_ms=4.0)),
    Scenario("p50", 50, 50, Ask(200, 20), ramp=1.0, goal=Goal(cpu=110.0)),
    Scenario("p200", 200, 200, Ask(150, 20), ramp=1.0, goal=Goal(cpu=80.0)),
    Scenario("p1000s", 1000, 1000, Ask(60, 100), ramp=4.0),
    Scenario("request", 400, 20, Ask(1), per="request", goal=Goal(cpu=2.0)),
]


def _smaller(sizes: dict[str, tuple[int, int, float]]) -> list[Scenario]:
    """Return the full scenarios with other streams, tokens and ramp: less to measure, the same in kind."""
    smaller = []
    for scenario in _FULL:
        streams, tokens, ramp = sizes[scenario.name]
        ask = Ask(tokens, scenario.ask.every_ms)
        at_once = min(scenario.at_once, streams)
        smaller.append(replace(scenario, streams=streams, at_once=at_once, ask=ask, ramp=ramp))
    return smaller


SCENARIOS: Final[dict[Size, list[Scenario]]] = {
    "full": _FULL,
    "quick": _smaller(
        {
            "burst": (60, 200, 0),
            "p1": (8, 5, 0),
            "p50": (50, 50, 0.5),
            "p200": (200, 25, 1.0),
            "p1000s": (1000, 12, 2.0),
            "request": (60, 1, 0),
        }
    ),
    "smoke": _smaller(
        {
            "burst": (4, 20, 0),
            "p1": (2, 3, 0),
            "p50": (3, 5, 0),
            "p200": (4, 5, 0),
            "p1000s": (5, 2, 0.1),
            "request": (4, 1, 0),
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Slope:
    """Memory with few and with many streams open, in a gateway that was just started."""

    few: Scenario
    many: Scenario


def _plateau(streams: int, tokens: int, ramp: float) -> Scenario:
    return Scenario(f"memory {streams}", streams, streams, Ask(tokens, 200), ramp)


SLOPES: Final[dict[Size, Slope]] = {
    "full": Slope(_plateau(100, 25, 0.5), _plateau(1000, 45, 4.0)),
    "quick": Slope(_plateau(20, 6, 0.2), _plateau(120, 10, 0.8)),
    "smoke": Slope(_plateau(2, 3, 0.0), _plateau(6, 3, 0.0)),
}

WARM_UP: Final = Scenario("warm-up", 20, 5, Ask(200))
"""Sent before anything is measured: connections, code paths and caches are those of a gateway at work."""
