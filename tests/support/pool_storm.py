"""Eight processes on one ledger, killed and stopped at random; and what their log proves."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from howler.pool.v1.pool_service_pb2 import AccountState

from server.pool.account import AccountId, Member
from server.store.open import store_at
from tests.support.keys import ring
from tests.support.pool_worker import TERMS
from tests.support.process import ROOT

PROCESSES = 8
SLOTS = {"acc_one": 1, "acc_two": 1, "acc_three": 2, "acc_four": 3}
KILL_EVERY = 0.15  # seconds
STOP_EVERY = 2.0  # seconds, for longer than a lease and its reclaim last


@dataclass
class Use:
    """A lease as its holder saw it: from its grant to its last use, in nanoseconds."""

    account_id: str
    token: int
    granted: int
    last: int


@dataclass
class Storm:
    """What happened."""

    kills: int = 0
    stops: int = 0
    uses: list[Use] = field(default_factory=list)
    orphans: int = 0

    def crowds(self) -> dict[str, int]:
        """Return how many holders each account had at most at a time."""
        moments = defaultdict[str, list[tuple[int, int]]](list)
        for use in self.uses:
            moments[use.account_id] += [(use.granted, 1), (use.last, -1)]
        crowds: dict[str, int] = {}
        for account_id, changes in moments.items():
            holders = 0
            for _, change in sorted(changes):  # at the same nanosecond one leaves before another comes
                holders += change
                crowds[account_id] = max(crowds.get(account_id, 0), holders)
        return crowds

    def tokens(self, account_id: str) -> list[int]:
        """Return the tokens of an account in the order in which their holders got them."""
        mine = [use for use in self.uses if use.account_id == account_id]
        return [use.token for use in sorted(mine, key=lambda use: use.granted)]


class _Workers:
    """The processes, by their nursery: whoever is killed is replaced meanwhile."""

    def __init__(self, nursery: asyncio.subprocess.Process) -> None:
        self._nursery = nursery
        self.alive: list[int] = []

    async def grow(self) -> None:
        """Take note of those that were asked for, as they are born."""
        assert self._nursery.stdout is not None
        while line := await self._nursery.stdout.readline():
            self.alive.append(int(line))
        raise AssertionError("the nursery ended")

    def ask_for(self, count: int) -> None:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(b"\n" * count)

    def kill(self, pid: int) -> None:
        self.alive.remove(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.ask_for(1)


@asynccontextmanager
async def _workers(url: str, log: Path) -> AsyncIterator[_Workers]:
    nursery = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.pool_worker",
        url,
        str(log),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    workers = _Workers(nursery)
    growth = asyncio.create_task(workers.grow())
    try:
        workers.ask_for(PROCESSES)
        while len(workers.alive) < PROCESSES:
            await asyncio.sleep(0.01)
        yield workers
        assert not growth.done(), "the nursery ended"
    finally:
        growth.cancel()
        with suppress(ProcessLookupError):
            os.killpg(nursery.pid, signal.SIGKILL)  # one that was forked last may be on no list yet
        await nursery.wait()
        nursery._transport.close()  # type: ignore[attr-defined]


async def _kill(storm: Storm, workers: _Workers, frozen: set[int]) -> None:
    """Kill by the clock: what a busy machine delays is made up for."""
    due = time.monotonic()
    while True:
        due += KILL_EVERY
        await asyncio.sleep(due - time.monotonic())
        if victims := [pid for pid in workers.alive if pid not in frozen]:
            workers.kill(random.choice(victims))
            storm.kills += 1


async def _freeze(storm: Storm, workers: _Workers, frozen: set[int]) -> None:
    while True:
        await asyncio.sleep(STOP_EVERY)
        if not workers.alive:
            continue  # a busy machine has not borne again all that were killed
        victim = random.choice(workers.alive)
        frozen.add(victim)
        os.kill(victim, signal.SIGSTOP)
        await asyncio.sleep(TERMS.ttl + TERMS.reclaim + 1.0)
        os.kill(victim, signal.SIGCONT)
        storm.stops += 1
        await asyncio.sleep(0.2)  # time to do wrong
        frozen.discard(victim)


async def rage(
    url: str, log: Path, seconds: float, disturb: Callable[[], Awaitable[None]] | None = None
) -> Storm:
    """Let the processes take leases for a while, kill and stop some, and return what they did.

    `disturb` is run over and over meanwhile.
    """
    async with store_at(url, ring(), TERMS.slots, TERMS.reclaim) as store:
        for name, slots in SLOTS.items():
            state = AccountState.ACCOUNT_STATE_ACTIVE
            assert await store.add_account(Member(AccountId(name), cookie="c", state=state, slots=slots))
    storm, frozen = Storm(), set[int]()

    async def disturbances() -> None:
        while disturb is not None:
            await disturb()

    async with _workers(url, log) as workers:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    _kill(storm, workers, frozen), _freeze(storm, workers, frozen), disturbances()
                )
                await asyncio.sleep(seconds)
    _read(log, storm)
    return storm


def _read(log: Path, storm: Storm) -> None:
    uses: dict[tuple[str, int], Use] = {}
    for line in log.read_text().splitlines():
        match line.split():
            case ["grant", account_id, token, when]:
                assert (account_id, int(token)) not in uses, "a token was given twice"
                uses[account_id, int(token)] = Use(account_id, int(token), int(when), int(when))
            case ["use", account_id, token, when]:
                use = uses[account_id, int(token)]
                use.last = max(use.last, int(when))
            case ["stop", *_]:
                storm.orphans += 1
            case _:
                raise AssertionError(f"what is {line!r}?")
    storm.uses = list(uses.values())


def seconds() -> float:
    """Return how long a storm lasts: half a minute on each store, more where HOWLER_TEST_SECONDS says so."""
    return float(os.environ.get("HOWLER_TEST_SECONDS", "30"))
