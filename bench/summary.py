"""Many loads of one kind in one row: medians over the rounds, and what a gateway adds to the floor. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Measured
from bench.scenarios import Scenario

FLOOR = "direct"
OURS = "howler"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, the least and the most."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Return the spread of the values that there are; None where there are none."""
        known = sorted(value for value in values if value is not None)
        return cls(median(known), known[0], known[-1]) if known else None


@dataclass(frozen=True, slots=True)
class Row:
    """One contender under one scenario, over all rounds.

    CPU is in the scenario's unit; `parts` is the normalised one by process.
    Times are in milliseconds; the added ones are over the floor of the same
    round. `times_ours` is raw CPU over Howler's of the same round.
    """

    scenario: Scenario
    contender: str
    streams: int
    failed: int
    raw: Spread | None
    norm: Spread | None
    parts: dict[str, float]
    times_ours: Spread | None
    events_per_second: Spread | None
    ttft: tuple[Spread | None, Spread | None]
    ttft_added: tuple[Spread | None, Spread | None]
    delay: tuple[Spread | None, Spread | None]
    delay_added: tuple[Spread | None, Spread | None]

    def beside_requests(self, request: "Row | None") -> float | None:
        """Return the normalised CPU per event less its share of what a request of one token costs."""
        if request is None or request.norm is None or self.norm is None or self.scenario.per == "request":
            return None
        return self.norm.middle - request.norm.middle * 1000 / self.scenario.ask.tokens

    @property
    def goals(self) -> list[tuple[str, float, float, bool]]:
        """Return the goals that were measured: what, how much, at most, and whether it was met."""
        goal, found = self.scenario.goal, []
        if goal.cpu is not None and self.norm is not None:
            found.append((f"CPU, {self.scenario.unit}", self.norm.middle, goal.cpu))
        if goal.ttft_ms is not None and self.ttft_added[0] is not None:
            found.append(("TTFT added, ms", self.ttft_added[0].middle, goal.ttft_ms))
        return [(what, value, most, value <= most and not self.failed) for what, value, most in found]


def rows(rounds: Sequence[Measured], contenders: Sequence[str]) -> list[Row]:
    """Return one row per scenario and contender, in the order in which they ran."""
    scenarios = list(dict.fromkeys(measured.scenario for measured in rounds))
    return [
        _row(scenario, contender, [measured for measured in rounds if measured.scenario == scenario])
        for scenario in scenarios
        for contender in contenders
    ]


def _row(scenario: Scenario, contender: str, loads: Sequence[Measured]) -> Row:
    own = [load for load in loads if load.contender == contender]
    floor = {load.round: load for load in loads if load.contender == FLOOR}
    ours = {load.round: load for load in loads if load.contender == OURS}
    labels = list(dict.fromkeys(label for load in own for label in load.cpu))
    gateway = bool(labels)

    def both(quantile: Callable[[Measured, str], float | None]) -> tuple[Spread | None, Spread | None]:
        return Spread.of(quantile(load, "p50") for load in own), Spread.of(
            quantile(load, "p99") for load in own
        )

    def added(
        quantile: Callable[[Measured, str], float | None],
    ) -> tuple[Spread | None, Spread | None]:
        def over(load: Measured, which: str) -> float | None:
            under = floor.get(load.round)
            return _less(quantile(load, which), quantile(under, which)) if under and gateway else None

        return both(over)

    return Row(
        scenario=scenario,
        contender=contender,
        streams=sum(load.ok + load.failed for load in own),
        failed=sum(load.failed for load in own),
        raw=Spread.of(load.raw() for load in own) if gateway else None,
        norm=Spread.of(load.norm() for load in own) if gateway else None,
        parts={
            label: part.middle
            for label in labels
            if (part := Spread.of(load.norm(label) for load in own)) is not None
        },
        times_ours=Spread.of(_ratio(load, ours.get(load.round)) for load in own) if gateway else None,
        events_per_second=Spread.of(load.events / load.seconds for load in own if load.seconds),
        ttft=both(_ttft),
        ttft_added=added(_ttft),
        delay=both(_delay),
        delay_added=added(_delay),
    )


def _ttft(load: Measured, which: str) -> float | None:
    return None if load.ttft is None else float(getattr(load.ttft, which))


def _delay(load: Measured, which: str) -> float | None:
    return None if load.delay is None else float(getattr(load.delay, which))


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _ratio(load: Measured, ours: Measured | None) -> float | None:
    one, other = load.raw(), ours.raw() if ours else None
    return one / other if one is not None and other else None


@dataclass(frozen=True, slots=True)
class Memory:
    """A gateway's memory with few and with many streams open, in KiB, by process."""

    contender: str
    few_streams: int
    many_streams: int
    few: dict[str, int]
    many: dict[str, int]

    def slope(self, label: str = "") -> float:
        """Return the KiB per stream of one process, or of all."""
        streams = self.many_streams - self.few_streams
        labels = [label] if label else list(self.few)
        return sum(self.many[name] - self.few[name] for name in labels) / streams


def memory(loads: Sequence[Measured]) -> list[Memory]:
    """Return the memory of every contender that was looked at."""
    found = []
    for contender in dict.fromkeys(load.contender for load in loads):
        few, many = [load for load in loads if load.contender == contender]
        found.append(Memory(contender, few.most_at_once, many.most_at_once, few.pss_kib, many.pss_kib))
    return found
