"""Runs `python -m server <command>` as a person would: a real process, to its end."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.child import Child, clean_environ

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


async def started(*arguments: str, env: Mapping[str, str], cwd: Path, stdin: str = "") -> Child:
    """Start a command. No HOWLER_* of the machine reaches it but what `env` gives."""
    return await Child.born("server", *arguments, env=clean_environ(**env), cwd=cwd, stdin=stdin.encode())


async def run(*arguments: str, env: Mapping[str, str], cwd: Path, stdin: str = "") -> Ended:
    """Run a command to its end."""
    process = await started(*arguments, env=env, cwd=cwd, stdin=stdin)
    async with asyncio.timeout(END_SECONDS):
        out, err = await process.communicate()
        return Ended(await process.wait(), out.decode(), err.decode())
