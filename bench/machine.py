"""Where and when a run was made: what a reader must know before comparing it with another."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.contenders import Cpus

_LIBRARIES: Final = ("grpcio", "protobuf", "uvicorn", "uvloop", "websockets", "msgspec")


@dataclass(frozen=True, slots=True)
class Machine:
    """`load` is the machine's load average before the run: other work, which makes its figures noise."""

    cpu: str
    cpus: int
    gateway_cpus: str
    load_cpus: str
    kernel: str
    python: str
    libraries: str
    commit: str
    load: float

    @classmethod
    def here(cls, cpus: Cpus, commit: str, load: float) -> "Machine":
        """Describe this machine."""
        return cls(
            cpu=_cpu_name(),
            cpus=os.cpu_count() or 1,
            gateway_cpus=_listed(cpus.gateway),
            load_cpus=_listed(cpus.load),
            kernel=platform.release(),
            python=platform.python_version(),
            libraries=", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
            commit=commit,
            load=load,
        )


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _listed(cpus: frozenset[int]) -> str:
    return ", ".join(str(cpu) for cpu in sorted(cpus))
