"""The command line of the bench."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

from bench.children import ROOT, Failed
from bench.client import Api
from bench.contenders import Contender, peer
from bench.scenarios import SCENARIOS, SLOPES, WARM_UP, Scenario, Size
from bench.script import Dialect

_FULL_MINUTES: Final = 9.5  # rounds that would end later are left out
_RESULTS: Final = ROOT / "bench" / "results"


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller wants. `minutes` is how long it may take, `rounds` how often, where that allows."""

    size: Size
    rounds: int
    minutes: float
    contenders: Sequence[Contender]
    scenarios: Sequence[Scenario]
    memory: bool
    pool: bool
    model: str
    out: Path

    @property
    def slope(self) -> list[Scenario]:
        """Return the loads under which memory is looked at."""
        slope = SLOPES[self.size]
        return [slope.few, slope.many] if self.memory else []

    @property
    def loads(self) -> list[Scenario]:
        """Return all loads that there will be, with every round and the warming up."""
        gateways = len(self.contenders) - 1
        warm_ups = len(self.contenders) + gateways * self.memory
        rounds = list(self.scenarios) * len(self.contenders) * self.rounds
        return rounds + self.slope * gateways + [WARM_UP] * warm_ups


def options_of(arguments: Sequence[str]) -> Options:
    """Read the command line. Raises Failed for a peer that cannot be meant."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under a minute, into var/bench: to see it work")
    parser.add_argument("--size", choices=get_args(Size), default="full", help="--quick is --size quick")
    parser.add_argument("--rounds", type=int, help="default 3, and 1 where it is not full")
    parser.add_argument(
        "--minutes", type=float, default=_FULL_MINUTES, help="rounds that end later are left out"
    )
    parser.add_argument(
        "--only", action="append", help="only this scenario; may be repeated; no memory and no leases then"
    )
    parser.add_argument("--api", choices=("chat", "responses"), default="chat", help="what the clients call")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="see README.md")
    parser.add_argument(
        "--dialect", choices=get_args(Dialect), default="native", help="what the peers' upstream speaks"
    )
    parser.add_argument("--model", default="bench", help="the model that the clients name")
    parser.add_argument(
        "--env", action="append", default=[], metavar="HOWLER_X=Y", help="a setting of Howler"
    )
    parser.add_argument(
        "--out", type=Path, help="the report's folder; default bench/results; of a part var/bench"
    )
    given = parser.parse_args(arguments)
    size = cast(Size, "quick" if given.quick else given.size)
    api = cast(Api, given.api)
    settings = dict(pair.partition("=")[::2] for pair in given.env)
    contenders = [Contender("direct", "direct"), Contender("howler", api, env=settings)]
    contenders += [peer(option, cast(Dialect, given.dialect), api) for option in given.peer]
    names = given.only or [scenario.name for scenario in SCENARIOS[size]]
    if unknown := set(names) - {scenario.name for scenario in SCENARIOS[size]}:
        raise Failed(f"no scenario is called {', '.join(sorted(unknown))}")
    return Options(
        size=size,
        rounds=given.rounds or (3 if size == "full" else 1),
        minutes=given.minutes,
        contenders=contenders,
        scenarios=[scenario for scenario in SCENARIOS[size] if scenario.name in names],
        memory=not given.only,
        pool=not given.only,
        model=given.model,
        out=given.out or (_RESULTS if size == "full" and not given.only else ROOT / "var" / "bench"),
    )
