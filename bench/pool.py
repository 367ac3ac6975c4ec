"""What a lease costs: `grant` and `end_lease` of both stores, from one process and from many.

python -m bench.pool            # the table alone, about half a minute
python -m bench.pool --load …   # one process of load, as the bench starts it itself
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode

from bench.children import Child, Failed
from bench.scenarios import Size
from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.store.keyring import GivenKeys, KeyRing
from server.store.open import AnyStore, store_at
from tests.support.postgres import running

ACCOUNTS: Final = 16
"""As many as in the measurements of the notes."""

SECONDS: Final[dict[Size, float]] = {"full": 4.0, "quick": 1.0, "smoke": 0.3}
LOADS: Final = ((1, 1), (1, 8), (8, 1))
"""Processes, and callers in each."""

_START: Final = (1.5, 0.4)  # seconds until all are ready, about: at least, and for each process
_LEAD: Final = 0.5  # seconds from when all are ready until they begin

EXPECTED_SECONDS: Final[dict[Size, float]] = {
    size: 5.0 + 2 * sum(_START[0] + _START[1] * processes + seconds for processes, _ in LOADS)
    for size, seconds in SECONDS.items()
}
"""How long it takes about, with PostgreSQL's start."""

_READY: Final = "ready"
_TTL: Final = 15.0
_KEY: Final = "00" * 32  # what is sealed is not worth it
_WHAT: Final = (
    f"A lease granted and ended, both recorded, on {ACCOUNTS} accounts of one slot each. Callers pick an "
    "account by chance; *no slot* is how often somebody else had it. PostgreSQL writes each commit through "
    "to the disk; SQLite's WAL leaves that to the kernel, for a crash of the process loses nothing then."
)
_BEFORE: Final = (
    "Before there was a pool (field notes): M11, SQLite by hand, 5,700–20,000 cycles/s, p50 0.02–0.07 ms; "
    "M12, an ORM on it 320–585 transactions/s, one writer thread 5,000–30,000; M13, PostgreSQL 15 with SKIP "
    "LOCKED, 920 cycles/s from one process, 2,250 from eight, p99 5.7 ms."
)
_HEAD: Final = ("store", "processes × callers", "cycles/s", "p50, ms", "p99, ms", "no slot")


@dataclass(frozen=True, slots=True)
class Cycles:
    """What one load did: a cycle is a lease granted and ended. Times are in µs; `refused` found no slot."""

    store: str
    processes: int
    callers: int
    seconds: float
    times: Sequence[float]
    refused: int

    @property
    def per_second(self) -> float:
        """Return how many cycles there were in a second."""
        return len(self.times) / self.seconds

    def quantile(self, share: float) -> float:
        """Return the time in milliseconds that this share of the cycles did not exceed."""
        return sorted(self.times)[min(int(len(self.times) * share), len(self.times) - 1)] / 1000


async def measure(size: Size) -> list[Cycles]:
    """Measure both stores. Raises Failed where a load did nothing."""
    measured: list[Cycles] = []
    with TemporaryDirectory(prefix="howler-bench-") as name, running() as postgres:
        folder = Path(name)
        async with postgres.database() as url:
            for store, address in (("SQLite", f"sqlite:///{folder}/howler.db"), ("PostgreSQL", url)):
                async with _store(address) as opened:
                    for number in range(ACCOUNTS):
                        await opened.add_account(_member(number))
                for processes, callers in LOADS:
                    measured.append(await _load(store, address, processes, callers, SECONDS[size], folder))
    return measured


def section(measured: Sequence[Cycles]) -> str:
    """Return what was measured as Markdown."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    lines += [
        f"| {load.store} | {load.processes} × {load.callers} | {load.per_second:,.0f} | "
        f"{load.quantile(0.5):.2f} | {load.quantile(0.99):.2f} | {load.refused:,} |"
        for load in measured
    ]
    return "\n".join([_WHAT, "", *lines, "", _BEFORE])


def _store(url: str) -> AnyStore:
    return store_at(url, KeyRing(GivenKeys(_KEY)))


def _account(number: int) -> AccountId:
    return AccountId(f"acc_{number:02}")


def _member(number: int) -> Member:
    return Member(_account(number), cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE, slots=1)


async def _load(store: str, url: str, processes: int, callers: int, seconds: float, folder: Path) -> Cycles:
    """Let processes begin at one moment, and gather what they did."""
    begin = folder / f"{store}-{processes}-{callers}"
    async with AsyncExitStack() as stack:
        children = []
        for number in range(processes):
            child = await Child.module(
                "bench.pool",
                *("--load", url, "--callers", str(callers), "--begin", str(begin), "--seconds", str(seconds)),
                cpus=_cpus(),
                folder=folder,
                label=f"pool-{number}",
            )
            stack.push_async_callback(child.stop)
            children.append(child)
        for child in children:
            if await child.line() != _READY:
                raise child.failed("was not ready")
        draft = begin.with_suffix(".draft")
        draft.write_text(str(time.monotonic() + _LEAD))
        draft.rename(begin)  # there at once and whole, for whoever looks
        said = [json.loads(await child.line() or "{}") for child in children]
        for child, told in zip(children, said, strict=True):
            if not told.get("times"):
                raise child.failed(f"granted no lease on {store}")
    return Cycles(
        store=store,
        processes=processes,
        callers=callers,
        seconds=seconds,
        times=[each for told in said for each in told["times"]],
        refused=sum(told["refused"] for told in said),
    )


def _cpus() -> frozenset[int]:
    """Return all CPUs: the database has none of its own either."""
    return frozenset(os.sched_getaffinity(0))


def _moment(file: Path) -> float:
    """Say that this process is ready, and return when to begin once all are."""
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
    while not file.exists():
        time.sleep(0.005)
    return float(file.read_text())


async def _work(url: str, callers: int, told: Path, seconds: float) -> str:
    """Do one process's load and return what it did, as a line of JSON."""
    times: list[float] = []
    refused = 0
    async with _store(url) as store:
        await store.books()
        begin = _moment(told)

        async def call(caller: int) -> None:
            nonlocal refused
            chance, number = random.Random(), 0  # noqa: S311 -- no secret
            while (began := time.monotonic()) < begin + seconds:
                number += 1
                lease_id = f"{store.replica}-{caller}-{number}"
                lease = Lease(
                    lease_id=lease_id,
                    account_id=_account(chance.randrange(ACCOUNTS)),
                    mode=LeaseMode.LEASE_MODE_EXCLUSIVE,
                )
                if await store.grant(lease, TaskId(""), _TTL, 1) is None:
                    refused += 1
                    continue
                await store.end_lease(LeaseId(lease_id), 1)
                times.append(round((time.monotonic() - began) * 1e6))

        late = time.monotonic() - begin
        if late > 0:
            raise Failed(f"{late:.1f} s late: this machine starts processes too slowly")
        await asyncio.sleep(-late)
        await asyncio.gather(*(call(caller) for caller in range(callers)))
    return json.dumps({"times": times, "refused": refused})


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table, or be one process of load; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.pool", description=__doc__)
    parser.add_argument("--size", choices=tuple(SECONDS), default="full")
    parser.add_argument("--load", metavar="URL", help="be one process of load on this database")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--begin", type=Path, help="the file that says when, by CLOCK_MONOTONIC")
    parser.add_argument("--seconds", type=float, default=1.0)
    given = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            if given.load:
                said = runner.run(_work(given.load, given.callers, given.begin, given.seconds))
            else:
                said = section(runner.run(measure(given.size)))
        except Failed as failed:
            sys.stderr.write(f"bench: {failed}\n")
            return 2
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
