"""The clock of a ledger on SQLite: since boot, the same in every process, and never set."""

import time
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def clock_us() -> int:
    """Return the microseconds since boot (CLOCK_MONOTONIC)."""
    return time.monotonic_ns() // 1000


def boot_id() -> str:
    """Return what tells this boot from every other."""
    return _BOOT.read_text(encoding="ascii").strip()
