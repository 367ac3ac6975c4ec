"""A client's program, run to its end."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_SECONDS: Final = 240.0  # litellm alone imports for half a minute where the machine is busy


@dataclass(frozen=True)
class Run:
    """What a run told on stdout and stderr, and its exit code."""

    stdout: str
    stderr: str
    code: int

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it told event by event, a line of JSON each."""
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]


async def run(
    *command: str, env: dict[str, str], cwd: Path | None = None, said: str | None = None
) -> tuple[str, str, int]:
    """Run a command, which reads `said`, and return the fields of a Run; one that does not end is killed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=env,
        stdin=asyncio.subprocess.DEVNULL if said is None else pipe,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate(None if said is None else said.encode())
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise AssertionError(f"{command[0]} did not end") from None
    assert process.returncode is not None
    return out.decode(), err.decode(), process.returncode
