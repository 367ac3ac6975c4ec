"""Processes that the bench starts: where they run, when they are ready, and that they end."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from bench.proc import cpu_seconds, pss_kib

ROOT: Final = Path(__file__).resolve().parent.parent
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "VIRTUAL_ENV")


class Failed(Exception):
    """The bench cannot go on; the message is one line for people."""


class Child:
    """One process, in a session of its own, pinned to `cpus` from its first instruction on."""

    def __init__(self, label: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.label = label
        self._process = process
        self._log = log
        self._draining: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, label: str, command: Sequence[str], *, cpus: frozenset[int], env: Mapping[str, str], folder: Path
    ) -> Self:
        """Start a command in `folder`; what it says on stderr goes to a file there.

        Nothing of our own environment reaches it but what names files and languages, and `env`.
        """
        log = folder / f"{label}.log"
        ours = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(
            0, cpus
        )  # a child inherits it; `taskset` would do the same with one more program
        try:
            with log.open("ab") as errors:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=folder,
                    env={**ours, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'generated'}", **env},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                    limit=16 << 20,  # a line may hold every measured time
                )
        except OSError as error:
            raise Failed(f"{label} could not be started: {error}") from None
        finally:
            os.sched_setaffinity(0, before)
        return cls(label, process, log)

    @classmethod
    async def module(
        cls,
        name: str,
        *arguments: str,
        cpus: frozenset[int],
        folder: Path,
        env: Mapping[str, str] | None = None,
        label: str = "",
    ) -> Self:
        """Start `python -m name`."""
        command = (sys.executable, "-m", name, *arguments)
        return await cls.start(label or name, command, cpus=cpus, env=env or {}, folder=folder)

    async def line(self) -> str:
        """Return the next line that it says. Raises Failed where none comes."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_START_SECONDS):
                return (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            raise self.failed(f"was not ready in {_START_SECONDS:g} s") from None

    async def address(self) -> str:
        """Return what the ready line `<name>: serving <address>` names. Raises Failed where none comes."""
        line = await self.line()
        if ": serving " not in line:
            raise self.failed(f"said {line!r} where it should have said that it serves")
        self.drain()
        return line.split(": serving ", 1)[1]

    def failed(self, how: str) -> Failed:
        """Return the failure with the last that the process said."""
        lines = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        return Failed(f"{self.label} {how}; its last words: {' | '.join(lines) or 'none'}")

    @property
    def ended(self) -> bool:
        """It runs no more."""
        return self._process.returncode is not None

    def cpu_seconds(self) -> float:
        """Return the CPU time that it and its descendants have taken."""
        return cpu_seconds(self._process.pid)

    def pss_kib(self) -> int:
        """Return its memory."""
        return pss_kib(self._process.pid)

    def drain(self) -> None:
        """Read away what it goes on to say, lest it block."""
        self._draining = asyncio.create_task(self._drained())

    async def _drained(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(1 << 16):
            pass

    async def output(self, within: float) -> bytes:
        """Return all that it says until it ends by itself. Raises Failed for a bad end or none in time."""
        try:
            async with asyncio.timeout(within):
                said, _ = await self._process.communicate()
        except TimeoutError:
            await self.stop()
            raise self.failed(f"did not end in {within:g} s") from None
        if self._process.returncode:
            raise self.failed(f"ended with {self._process.returncode}")
        return said

    async def finish(self) -> bytes:
        """Ask it to end and return what it said."""
        self._signal(signal.SIGTERM)
        return await self.output(_STOP_SECONDS)

    async def stop(self) -> None:
        """End it and its descendants, by force where asking does not help."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)  # the leader of a session of its own
            except ProcessLookupError:
                break
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                continue

    def _signal(self, number: int) -> None:
        if not self.ended:
            self._process.send_signal(number)
