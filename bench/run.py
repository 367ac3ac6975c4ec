"""`make bench`: starts stubs and gateways, drives them side by side, writes the report.

Each round puts every scenario on the floor, on Howler and on the peers, one
right after the other: what is compared was measured in the same minute. Runs
on Linux; needs no network.

    python -m bench.run --quick
    python -m bench.run --dialect flat --peer 'ts=env UPSTREAM={stub} PORT={port} node server.js'
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast, get_args

from bench.children import ROOT, Child, Failed
from bench.client import Api
from bench.contenders import Contender, Cpus, Running, peer
from bench.machine import Machine
from bench.measure import Bench, Measured
from bench.report import Results, write
from bench.scenarios import SCENARIOS, SLOPES, WARM_UP, Scenario, Size
from bench.script import Dialect
from bench.summary import FLOOR, OURS

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
    model: str
    out: Path


@dataclass(slots=True)
class _Entry:
    """A contender, its stub, and the gateway that runs for it."""

    contender: Contender
    stub: Child
    stub_url: str
    running: Running = field(default_factory=lambda: Running(""))


class Progress:
    """Tells what happens and how long it has taken."""

    def __init__(self, loads: int, expected: float) -> None:
        self._loads = loads
        self._expected = expected
        self._done = 0
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Tell something of the whole."""
        sys.stdout.write(f"bench: {_clock(self.elapsed)} {text}\n")
        sys.stdout.flush()

    def begin(self, contender: str, scenario: Scenario, where: str) -> None:
        """Tell of a load that begins, and leave the line open for its outcome."""
        self._done += 1
        left = max(0.0, self._expected - self.elapsed)
        sys.stdout.write(
            f"bench: {_clock(self.elapsed)} [{self._done}/{self._loads}, about {_clock(left)} left] {where} "
            f"{scenario.name:8} {contender:8} {scenario.meaning} … "
        )
        sys.stdout.flush()

    def end(self, measured: Measured) -> None:
        """Tell its outcome."""
        parts = [f"{measured.seconds:.1f} s"]
        parts.append(
            f"{measured.failed} FAILED {measured.errors}" if measured.failed else f"{measured.ok} ok"
        )
        if measured.cpu and (norm := measured.norm()) is not None:
            parts.append(f"{norm:.1f} {measured.scenario.unit} (norm)")
        if measured.ttft:
            parts.append(f"ttft {measured.ttft.p50:.1f} ms")
        if measured.delay:
            parts.append(f"delay {measured.delay.p50:.2f} ms")
        sys.stdout.write(", ".join(parts) + "\n")
        for said in measured.said:
            sys.stdout.write(f"         {said}\n")
        sys.stdout.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


class Run:
    """One whole run."""

    def __init__(self, options: Options, cpus: Cpus, folder: Path) -> None:
        self._options = options
        self._cpus = cpus
        self._folder = folder
        self._bench = Bench(cpus, folder, options.model)
        self._progress = Progress(*_plan(options))
        self.rounds: list[Measured] = []
        self.memory: list[Measured] = []
        self.notes: list[str] = []

    async def run(self) -> None:
        """Measure everything. Raises Failed where something of the bench itself does not work."""
        options = self._options
        async with AsyncExitStack() as stack:
            entries = [await self._entry(contender, stack) for contender in options.contenders]
            async with AsyncExitStack() as gateways:
                await self._start(entries, gateways)
                await self._all_rounds(entries)
            if options.memory:
                await self._memory([entry for entry in entries if entry.contender.api != "direct"])
        self._progress.say("measured")

    async def _entry(self, contender: Contender, stack: AsyncExitStack) -> _Entry:
        """Start the stub of a contender: one each, so that none pays for what another left behind."""
        stub = await Child.module(
            "bench.stub",
            *("--dialect", contender.dialect),
            cpus=self._cpus.load,
            folder=self._folder,
            label=f"stub-{contender.name}",
        )
        stack.push_async_callback(stub.stop)
        return _Entry(contender, stub, await stub.address())

    async def _start(self, entries: Sequence[_Entry], stack: AsyncExitStack) -> None:
        for entry in entries:
            contender = entry.contender
            entry.running = await contender.start(entry.stub_url, self._cpus, self._folder, stack)
            started = ", ".join(child.label for child in entry.running.processes) or "nothing to start"
            self._progress.say(f"{contender.name}: {started} at {entry.running.url}")
            warm = await self._measure(entry, WARM_UP, "warm-up", 0)
            if not warm.ok:
                raise Failed(f"{contender.name} served none of {WARM_UP.streams} streams: {warm.said}")

    async def _all_rounds(self, entries: Sequence[_Entry]) -> None:
        longest = 0.0
        for number in range(1, self._options.rounds + 1):
            began = self._progress.elapsed
            memory = sum(s.expected_seconds for s in _slope(self._options)) * (len(entries) - 1)
            if number > 1 and began + longest + memory > self._options.minutes * 60:
                self.notes.append(
                    f"{number - 1} of {self._options.rounds} rounds: there was no time for more."
                )
                self._progress.say(self.notes[-1])
                return
            for scenario in self._options.scenarios:
                for entry in entries:
                    measured = await self._measure(entry, scenario, f"round {number}", number)
                    self.rounds.append(measured)
            longest = max(longest, self._progress.elapsed - began)

    async def _memory(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            async with AsyncExitStack() as stack:
                await self._start([entry], stack)  # a fresh one: memory once taken is seldom given back
                for scenario in _slope(self._options):
                    measured = await self._measure(entry, scenario, "memory", 1, memory=True)
                    self.memory.append(measured)

    async def _measure(
        self, entry: _Entry, scenario: Scenario, where: str, number: int, *, memory: bool = False
    ) -> Measured:
        contender = entry.contender
        self._progress.begin(contender.name, scenario, where)
        measured = await self._bench.measure(
            contender.name, entry.running, contender.api, entry.stub, scenario, number, memory=memory
        )
        self._progress.end(measured)
        return measured


def _slope(options: Options) -> list[Scenario]:
    slope = SLOPES[options.size]
    return [slope.few, slope.many] if options.memory else []


def _plan(options: Options) -> tuple[int, float]:
    """Return how many loads there will be and about how many seconds they will take."""
    gateways = len(options.contenders) - 1
    rounds = [scenario for scenario in options.scenarios for _ in options.contenders] * options.rounds
    memory = [scenario for scenario in _slope(options) for _ in range(gateways)]
    warming = [WARM_UP] * (len(options.contenders) + gateways * options.memory)
    loads = [*rounds, *memory, *warming]
    return len(loads), min(sum(load.expected_seconds for load in loads), options.minutes * 60)


def _commit() -> str:
    """Return the commit that is measured, with a + where the checkout differs from it."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+"],  # noqa: S607  # whichever git the developer has
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


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
    parser.add_argument("--only", action="append", help="only this scenario; may be repeated; no memory then")
    parser.add_argument("--api", choices=("chat", "responses"), default="chat", help="what the clients call")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="see README.md")
    parser.add_argument(
        "--dialect", choices=get_args(Dialect), default="native", help="what the peers' upstream speaks"
    )
    parser.add_argument("--model", default="bench", help="the model that the clients name")
    parser.add_argument(
        "--env", action="append", default=[], metavar="HOWLER_X=Y", help="a setting of Howler"
    )
    parser.add_argument("--out", type=Path, help="the report's folder; default bench/results")
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
        model=given.model,
        out=given.out or (_RESULTS if size == "full" else ROOT / "var" / "bench"),
    )


async def bench(options: Options) -> int:
    """Run it all, write the report and return the exit code: 1 where a stream of ours failed."""
    cpus = Cpus.of(frozenset(os.sched_getaffinity(0)))
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="howler-bench-") as folder:
        run = Run(options, cpus, Path(folder))
        busy = os.getloadavg()[0]
        await run.run()
    results = Results(
        began=began,
        size=options.size,
        machine=Machine.here(cpus, _commit(), busy),
        contenders=[contender.name for contender in options.contenders],
        rounds=run.rounds,
        memory=run.memory,
        notes=run.notes,
    )
    written = write(results, options.out)
    sys.stdout.write(f"bench: the report is {written}\n")
    failed = {load.contender: load.failed for load in (*run.rounds, *run.memory) if load.failed}
    if failed:
        sys.stdout.write(
            f"bench: streams FAILED of {', '.join(failed)}: those figures are not worth reading\n"
        )
    return 1 if failed.keys() & {FLOOR, OURS} else 0


def main(arguments: Sequence[str]) -> int:
    """Run from the command line and return the exit code."""
    try:
        return asyncio.run(bench(options_of(arguments)))
    except Failed as failed:
        sys.stderr.write(f"bench: {failed}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
