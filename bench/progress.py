"""Tells on stdout what the bench does and how long it takes: a line per load, finished by its outcome."""

import sys
import time
from collections.abc import Sequence

from bench.measure import Measured
from bench.scenarios import Scenario


class Progress:
    """Tells what happens and how long it has taken."""

    def __init__(self, loads: Sequence[Scenario]) -> None:
        """`loads` are all that will be run, in any order."""
        self._loads = len(loads)
        self._expected = sum(load.expected_seconds for load in loads)
        self._done = 0
        self._done_expected = 0.0
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
        left = self._left()
        self._done += 1
        self._done_expected += scenario.expected_seconds
        sys.stdout.write(
            f"bench: {_clock(self.elapsed)} [{self._done}/{self._loads}, about {_clock(left)} left] {where} "
            f"{scenario.name:8} {contender:8} {scenario.meaning} … "
        )
        sys.stdout.flush()

    def _left(self) -> float:
        """Return about how many seconds are left, going by how late we are: a slow gateway shows early."""
        late = self.elapsed / self._done_expected if self._done_expected else 1.0
        return (self._expected - self._done_expected) * max(1.0, late)

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
