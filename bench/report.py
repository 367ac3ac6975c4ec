"""Writes what was measured: a page of tables and a chart. README.md says how to read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from bench import chats
from bench.chart import Bar, Panel, svg
from bench.machine import Machine
from bench.measure import Measured
from bench.pool import Cycles, section
from bench.scenarios import Size
from bench.summary import FLOOR, OURS, Memory, Row, Spread, memory, rows

_NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    began: datetime
    size: Size
    machine: Machine
    contenders: Sequence[str]
    rounds: Sequence[Measured]
    memory: Sequence[Measured]
    pool: Sequence[Cycles]
    chats: Sequence[chats.Turns]
    notes: Sequence[str]


def write(results: Results, folder: Path) -> Path:
    """Write `<date>.md`, `<date>.svg` and `latest.md` into a folder and return the first; a day has one."""
    folder.mkdir(parents=True, exist_ok=True)
    day = f"{results.began:%Y-%m-%d}"
    table = rows(results.rounds, results.contenders)
    slopes = memory(results.memory)
    title = f"Howler bench, {day}, {results.machine.commit}"
    (folder / f"{day}.svg").write_text(svg(title, _panels(table, slopes)))
    page = markdown(results, table, slopes, chart=f"{day}.svg")
    (folder / "latest.md").write_text(page)
    written = folder / f"{day}.md"
    written.write_text(page)
    return written


def markdown(results: Results, table: Sequence[Row], slopes: Sequence[Memory], chart: str) -> str:
    """Return the page."""
    rounds = len({measured.round for measured in results.rounds})
    parts = [
        f"# Bench of {results.began:%Y-%m-%d %H:%M} UTC, commit {results.machine.commit}",
        _where(results, rounds),
        *results.notes,
        _failures(results),
        f"![chart]({chart})",
        "## Goals",
        _goals(table, results.size),
        "## CPU of the gateway's processes together",
        _cpu(table),
        "## Time",
        _times(table),
        "## Memory",
        _memory(slopes),
        "## Leases",
        section(results.pool) if results.pool else "Not measured in this run.",
        "## The second turn of a chat",
        chats.section(results.chats) if results.chats else "Not measured in this run.",
        "## Every load",
        _every_load([*results.rounds, *results.memory]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _where(results: Results, rounds: int) -> str:
    machine = results.machine
    probe = Spread.of(measured.probe_us for measured in results.rounds)
    lines = [
        f"{machine.cpu}, {machine.cpus} CPUs, Linux {machine.kernel}, Python {machine.python}, "
        f"{machine.libraries}.",
        f"Gateway on CPU {machine.gateway_cpus}, stub and client on CPU {machine.load_cpus}.",
        f"{rounds} {'round' if rounds == 1 else 'rounds'} of size `{results.size}`; median [least–most]. "
        f"Probe {_spread(probe)} µs; load average before the run {machine.load:.2f}.",
    ]
    return "\n".join(lines)


def _failures(results: Results) -> str:
    loads = [*results.rounds, *results.memory]
    failed = [measured for measured in loads if measured.failed]
    streams = sum(measured.ok + measured.failed for measured in loads)
    if not failed:
        return f"**0 of {streams:,} streams failed**: every token was read once and in order."
    lines = [f"**{sum(measured.failed for measured in failed)} of {streams:,} streams FAILED.**", ""]
    for measured in failed:
        what = ", ".join(f"{count} {kind}" for kind, count in measured.errors.items())
        lines.append(f"- {measured.contender}, {measured.scenario.name}, round {measured.round}: {what}")
    return "\n".join(lines)


def _goals(table: Sequence[Row], size: Size) -> str:
    judged = size == "full"  # fewer tokens per stream carry more of their request
    found = [
        [
            row.scenario.name,
            what,
            _number(value),
            f"≤ {_number(most)}",
            ("yes" if met else "**no**") if judged else _NOTHING,
        ]
        for row in table
        if row.contender == OURS
        for what, value, most, met in row.goals
    ]
    page = _table(["scenario", "what", "measured", "goal", "met"], found)
    return page if judged else f"Goals are about the full size; this run cannot judge them.\n\n{page}"


def _cpu(table: Sequence[Row]) -> str:
    requests = {row.contender: row for row in table if row.scenario.per == "request"}
    found = [
        [
            row.scenario.name,
            row.contender,
            f"{row.streams - row.failed:,} / {row.streams:,}",
            row.scenario.unit,
            _spread(row.norm),
            ", ".join(f"{label} {_number(value)}" for label, value in row.parts.items()),
            _number(row.beside_requests(requests.get(row.contender))),
            _spread(row.raw),
            _spread(row.times_ours) if row.contender != OURS else "1",
            _count(row.events_per_second),
        ]
        for row in table
        if row.contender != FLOOR
    ]
    head = [
        "scenario",
        "gateway",
        "streams ok",
        "unit",
        "norm",
        "norm by process",
        "less requests",
        "raw",
        "× howler",
        "events/s",
    ]
    return _table(head, found)


def _times(table: Sequence[Row]) -> str:
    found = [
        [
            row.scenario.name,
            row.contender,
            *(_spread(value) for value in (*row.ttft, *row.ttft_added, *row.delay, *row.delay_added)),
        ]
        for row in table
    ]
    head = ["scenario", "gateway"]
    head += ["TTFT p50, ms", "p99", "TTFT added p50", "p99"]
    head += ["token delay p50, ms", "p99", "delay added p50", "p99"]
    return _table(head, found)


def _memory(slopes: Sequence[Memory]) -> str:
    found = [
        [
            slope.contender,
            f"{slope.few_streams} → {slope.many_streams}",
            f"{sum(slope.few.values()) / 1024:.0f} → {sum(slope.many.values()) / 1024:.0f}",
            f"{slope.slope():.0f}",
            ", ".join(f"{label} {slope.slope(label):.0f}" for label in slope.few),
        ]
        for slope in slopes
    ]
    return _table(["gateway", "streams", "PSS, MiB", "KiB per stream", "by process"], found)


def _every_load(loads: Sequence[Measured]) -> str:
    found = [
        [
            measured.scenario.name,
            measured.contender,
            str(measured.round),
            f"{measured.ok} / {measured.ok + measured.failed}",
            f"{measured.seconds:.2f}",
            f"{sum(measured.cpu.values()):.2f}",
            _number(measured.raw() if measured.cpu else None),
            _number(measured.norm() if measured.cpu else None),
            f"{measured.probe_us:.1f}",
            f"{measured.foreign:.0%} / {measured.stolen:.0%}",
            f"{measured.load_share:.0%}",
            f"{measured.events / measured.reads:.1f}" if measured.reads else _NOTHING,
            f"{measured.bytes / measured.events:.0f}" if measured.events else _NOTHING,
        ]
        for measured in loads
    ]
    head = ["scenario", "gateway", "round", "ok", "s", "CPU s", "raw", "norm", "probe µs"]
    head += ["foreign / stolen", "load CPU", "events/read", "B/event"]
    return _table(head, found)


def _panels(table: Sequence[Row], slopes: Sequence[Memory]) -> list[Panel]:
    gateways = [row for row in table if row.contender != FLOOR]

    def label(row: Row) -> str:
        return f"{row.scenario.name} {row.contender}"

    def cpu(per: str) -> list[Bar]:
        # without p1: its few tokens carry whole requests, and its bar would dwarf the others
        return [
            Bar(label(row), row.parts, row.scenario.goal.cpu if row.contender == OURS else None)
            for row in gateways
            if row.scenario.per == per and row.parts and row.scenario.at_once > 1
        ]

    def added(of: Iterable[tuple[Row, Spread | None]], goals: str = "") -> list[Bar]:
        return [
            Bar(
                label(row),
                {"over the floor": spread.middle},
                row.scenario.goal.ttft_ms if goals and row.contender == OURS else None,
            )
            for row, spread in of
            if spread is not None
        ]

    memory_bars = [Bar(slope.contender, {name: slope.slope(name) for name in slope.few}) for slope in slopes]
    return [
        Panel("CPU per token event, µs on a quiet core (normalised)", cpu("event")),
        Panel("CPU per request of one token, ms on a quiet core (normalised)", cpu("request")),
        Panel(
            "Time to first token, ms added (median)", added(((r, r.ttft_added[0]) for r in gateways), "ttft")
        ),
        Panel("Token delay, ms added (median)", added((r, r.delay_added[0]) for r in gateways)),
        Panel("Memory per open stream, KiB of PSS", memory_bars),
    ]


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    if not body:
        return "Not measured in this run."
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell or _NOTHING for cell in row) + " |" for row in body]
    return "\n".join(lines)


def _spread(value: Spread | None) -> str:
    if value is None:
        return _NOTHING
    if value.least == value.most:
        return _number(value.middle)
    return f"{_number(value.middle)} [{_number(value.least)}–{_number(value.most)}]"


def _count(value: Spread | None) -> str:
    return _NOTHING if value is None else f"{value.middle:,.0f}"


def _number(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
