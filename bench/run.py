"""`make bench`: starts stubs and gateways, drives them side by side, writes the report.

Each round puts every scenario on the floor, on Howler and on the peers, one
right after the other: what is compared was measured in the same minute. Runs
on Linux; needs no network.

    python -m bench.run --quick
    python -m bench.run --dialect flat --peer 'ts=env UPSTREAM={stub} PORT={port} node server.js'
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import chats
from bench.children import ROOT, Child, Failed
from bench.contenders import Contender, Cpus, Running
from bench.machine import Machine
from bench.measure import Bench, Measured
from bench.options import Options, options_of
from bench.pool import EXPECTED_SECONDS as POOL_SECONDS
from bench.pool import Cycles
from bench.pool import measure as measure_pool
from bench.progress import Progress
from bench.report import Results, write
from bench.scenarios import WARM_UP, Scenario
from bench.summary import FLOOR, OURS


@dataclass(slots=True)
class _Entry:
    """A contender, its stub, and the gateway that runs for it."""

    contender: Contender
    stub: Child
    stub_url: str
    running: Running = field(default_factory=lambda: Running(""))


class Run:
    """One whole run."""

    def __init__(self, options: Options, cpus: Cpus, folder: Path) -> None:
        self._options = options
        self._cpus = cpus
        self._folder = folder
        self._bench = Bench(cpus, folder, options.model)
        self._progress = Progress(options.loads)
        self.rounds: list[Measured] = []
        self.memory: list[Measured] = []
        self.pool: list[Cycles] = []
        self.chats: list[chats.Turns] = []
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
        if options.pool:
            self._progress.say("leases on both stores")
            self.pool = await measure_pool(options.size)
            self._progress.say("the second turn of a chat")
            self.chats = await chats.measure(options.size)
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
            memory = sum(s.expected_seconds for s in self._options.slope) * (len(entries) - 1)
            pool = POOL_SECONDS[self._options.size] + chats.EXPECTED_SECONDS if self._options.pool else 0.0
            if number > 1 and began + longest + memory + pool > self._options.minutes * 60:
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
                for scenario in self._options.slope:
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
        pool=run.pool,
        chats=run.chats,
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
