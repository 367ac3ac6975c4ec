"""Runs `python -m server <command>` as a person would: a real process, to its end."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.process import ROOT

END_SECONDS = 60.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said on stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it said on stdout."""
        return self.out.splitlines()

    @property
    def objects(self) -> list[Any]:
        """What it said on stdout with --json."""
        return [json.loads(line) for line in self.lines]

    @property
    def complaint(self) -> str:
        """The one line on stderr; there must be just one."""
        (line,) = self.err.splitlines()
        return line


async def started(*arguments: str, env: Mapping[str, str], cwd: Path) -> asyncio.subprocess.Process:
    """Start a command. No HOWLER_* of the machine reaches it but what `env` gives."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HOWLER_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        *arguments,
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, env: Mapping[str, str], cwd: Path, stdin: str = "") -> Ended:
    """Run a command to its end."""
    process = await started(*arguments, env=env, cwd=cwd)
    async with asyncio.timeout(END_SECONDS):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())
