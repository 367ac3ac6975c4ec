"""What the kernel says of processes: CPU time, memory, and who else was on a CPU. Linux only, reads /proc."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")  # seconds; 10 ms, so that is the grain of every CPU figure
_PROC: Final = Path("/proc")


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; raises OSError for one that is gone."""
    text = (_PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()


def tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                children[int(_stat(int(entry.name))[1])].append(int(entry.name))
            except OSError:
                continue  # ended meanwhile
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time, user and system, of a process, its descendants and those it has buried."""
    total = 0
    for pid in tree(root):
        try:
            total += sum(int(ticks) for ticks in _stat(pid)[11:15])  # utime, stime, cutime, cstime
        except OSError:
            continue
    return total * _TICK


def pss_kib(root: int) -> int:
    """Return the proportional set size of a process and its descendants: shared pages count in parts."""
    total = 0
    for pid in tree(root):
        try:
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


@dataclass(frozen=True, slots=True)
class CpuClock:
    """What some CPUs have done since the boot, in seconds; `stolen` is what the host gave to others."""

    busy: float
    stolen: float


def cpu_clock(cpus: frozenset[int]) -> CpuClock:
    """Return the clock of these CPUs together."""
    busy = stolen = 0.0
    for line in (_PROC / "stat").read_text().splitlines():
        name, *rest = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(ticks) for ticks in rest[:8])
            busy += (user + nice + system + irq + softirq) * _TICK
            stolen += steal * _TICK
    return CpuClock(busy, stolen)
