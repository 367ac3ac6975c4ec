"""Puts one load on one contender and says what it took."""

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.children import Child
from bench.client import Api
from bench.contenders import Cpus, Running
from bench.probe import REFERENCE_US
from bench.proc import cpu_clock
from bench.scenarios import Scenario

_SETTLE_SECONDS: Final = 0.3  # what a gateway still does for a turn that its caller has read
_SAMPLE_SECONDS: Final = 0.25
_SLACK_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one contender. Times are in seconds unless the name says otherwise.

    `most_at_once` is how many streams were open together at the most,
    `cpu` the CPU time of each gateway process, `load_share` the share of a
    CPU that stub and client took, `probe_us` a step of the speed probe
    meanwhile, `foreign` and `stolen` the shares of the gateway's CPU that other
    programs and the host took. `pss_kib` is the most memory
    seen per process, where it was looked at. `errors` are streams by what was wrong.
    """

    contender: str
    scenario: Scenario
    round: int
    seconds: float
    ok: int
    errors: dict[str, int]
    said: list[str]
    events: int
    expected: int
    reads: int
    bytes: int
    most_at_once: int
    cpu: dict[str, float]
    load_share: float
    probe_us: float
    foreign: float
    stolen: float
    ttft: Quantiles | None
    delay: Quantiles | None
    pss_kib: dict[str, int]

    @property
    def failed(self) -> int:
        """Return how many streams were not read once, in order and to their end."""
        return sum(self.errors.values())

    def raw(self, label: str = "") -> float | None:
        """Return the CPU of one process, or of all, in the scenario's unit; None where nothing came."""
        spent = self.cpu.get(label, 0.0) if label else sum(self.cpu.values())
        if self.scenario.per == "request":
            return spent / self.ok * 1e3 if self.ok else None
        return spent / self.events * 1e6 if self.events else None

    def norm(self, label: str = "") -> float | None:
        """Return the same for a quiet core."""
        raw = self.raw(label)
        return None if raw is None else raw * REFERENCE_US / self.probe_us


@dataclass(frozen=True, slots=True)
class _Clocks:
    """All the clocks of a moment, or what they have moved between two, in seconds."""

    gateway: dict[str, float]
    load: float
    probe: float
    busy: float
    stolen: float
    wall: float

    @classmethod
    def read(cls, running: Running, stub: Child, probe: Child, cpus: Cpus) -> "_Clocks":
        """Read them."""
        kernel, gone = cpu_clock(cpus.gateway), os.times()
        return cls(
            gateway={child.label: child.cpu_seconds() for child in running.processes},
            load=stub.cpu_seconds()
            + gone.children_user
            + gone.children_system,  # a client ends with its load
            probe=probe.cpu_seconds(),
            busy=kernel.busy,
            stolen=kernel.stolen,
            wall=time.monotonic(),
        )

    def since(self, before: "_Clocks") -> "_Clocks":
        """Return what they have moved."""
        return _Clocks(
            gateway={label: now - before.gateway[label] for label, now in self.gateway.items()},
            load=self.load - before.load,
            probe=self.probe - before.probe,
            busy=self.busy - before.busy,
            stolen=self.stolen - before.stolen,
            wall=self.wall - before.wall,
        )


class Bench:
    """The means of measuring: CPUs, a folder for logs, and the stub that a contender stands before."""

    def __init__(self, cpus: Cpus, folder: Path, model: str) -> None:
        self._cpus = cpus
        self._folder = folder
        self._model = model

    async def measure(
        self,
        name: str,
        running: Running,
        api: Api,
        stub: Child,
        scenario: Scenario,
        round_: int,
        *,
        memory: bool,
    ) -> Measured:
        """Run the load and return what it took. Raises Failed where the bench itself breaks."""
        sampling = asyncio.create_task(_most_memory(running.processes)) if memory else None
        try:
            told, spent, probe_us = await self._clocked(running, api, stub, scenario)
        finally:
            if sampling is not None:
                sampling.cancel()
        for child in running.processes:
            if child.ended:
                raise child.failed(f"died under {scenario.name}")
        ours = sum(spent.gateway.values()) + spent.probe
        if self._cpus.gateway == self._cpus.load:
            ours += spent.load
        return Measured(
            contender=name,
            scenario=scenario,
            round=round_,
            seconds=told["seconds"],
            ok=told["ok"],
            errors=told["errors"],
            said=told["said"],
            events=told["events"],
            expected=told["expected"],
            reads=told["reads"],
            bytes=told["bytes"],
            most_at_once=told["most_at_once"],
            cpu=spent.gateway,
            load_share=spent.load / spent.wall,
            probe_us=probe_us,
            foreign=max(0.0, spent.busy - ours) / spent.wall,
            stolen=spent.stolen / spent.wall,
            ttft=_quantiles(told["ttft_ms"]),
            delay=_quantiles(told["delay_ms"]),
            pss_kib=await _taken(sampling) if sampling is not None else {},
        )

    async def _clocked(
        self, running: Running, api: Api, stub: Child, scenario: Scenario
    ) -> tuple[dict[str, Any], _Clocks, float]:
        """Run the load beside the probe; return the client's report, what was spent, a probe's step in µs."""
        probe = await Child.module("bench.probe", cpus=self._cpus.gateway, folder=self._folder)
        try:
            await probe.line()  # it is at work
            before = _Clocks.read(running, stub, probe, self._cpus)
            told = await self._load(running.url, api, scenario)
            await asyncio.sleep(_SETTLE_SECONDS)
            spent = _Clocks.read(running, stub, probe, self._cpus).since(before)
        finally:
            said = await probe.finish()
        return told, spent, float(said)

    async def _load(self, url: str, api: Api, scenario: Scenario) -> dict[str, Any]:
        within = 3 * scenario.expected_seconds + _SLACK_SECONDS
        client = await Child.module(
            "bench.client",
            *("--url", url, "--api", api, "--model", self._model, "--within", f"{within:g}"),
            *("--streams", str(scenario.streams), "--at-once", str(scenario.at_once)),
            *("--tokens", str(scenario.ask.tokens), "--every", f"{scenario.ask.every_ms:g}"),
            *("--ramp", f"{scenario.ramp:g}"),
            cpus=self._cpus.load,
            folder=self._folder,
        )
        try:
            said = await client.output(within + _SLACK_SECONDS)
            told: dict[str, Any] = json.loads(said)
            return told
        except ValueError:
            raise client.failed("gave no report") from None
        finally:
            await client.stop()


async def _most_memory(processes: list[Child]) -> dict[str, int]:
    """Sample until cancelled; return the most that each process had."""
    most: dict[str, int] = {child.label: 0 for child in processes}
    try:
        while True:
            for child in processes:
                most[child.label] = max(most[child.label], child.pss_kib())
            await asyncio.sleep(_SAMPLE_SECONDS)
    except asyncio.CancelledError:
        return most


async def _taken(sampling: asyncio.Task[dict[str, int]]) -> dict[str, int]:
    return await sampling


def _quantiles(told: dict[str, float] | None) -> Quantiles | None:
    return Quantiles(**told) if told else None
