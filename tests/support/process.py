"""Starts Howler's own programs: real processes, real sockets, free ports."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.child import ROOT, Child, clean_environ

__all__ = ["ROOT", "Program"]

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Program:
    """`python -m name` from its ready line to its end.

    `address` is what the ready line names, `errors` all that it wrote to stderr.
    No HOWLER_* of the machine reaches it but what `env` gives.
    """

    def __init__(self, name: str, *arguments: str, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self.address = ""
        self.errors = ""
        self.code: int | None = None
        self._arguments = arguments
        self._cwd = cwd
        self._env = clean_environ(**env)
        self._process: Child | None = None
        self._drain: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._until_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def start(self) -> None:
        """Start it without waiting for its ready line."""
        self._process = await Child.born(self.name, *self._arguments, env=self._env, cwd=self._cwd)
        self._drain = asyncio.create_task(self._collect())

    async def _until_ready(self) -> None:
        assert self._process is not None
        line = (await self._process.stdout.readline()).decode().strip()
        mark = f"{self.name}: serving "
        if not line.startswith(mark):
            await self.ended()
            raise AssertionError(f"{self.name} said {line!r}, exit code {self.code}: {self.errors}")
        self.address = line.removeprefix(mark)

    async def _collect(self) -> None:
        assert self._process is not None
        async for line in self._process.stderr:
            self.errors += line.decode(errors="replace")

    async def start_again(self, **env: str) -> None:
        """Start it anew once it has ended, with these settings changed, and wait for its ready line."""
        self._env |= env
        await self.start()
        async with asyncio.timeout(START_SECONDS):
            await self._until_ready()

    async def ended(self) -> int:
        """Return the exit code once the process has ended by itself."""
        assert self._process is not None
        assert self._drain is not None
        async with asyncio.timeout(STOP_SECONDS):
            self.code = await self._process.wait()
            await self._drain
        return self.code

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> int:
        """Ask it to end, kill it when it does not, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return await self.ended()
        except TimeoutError:
            self._process.send_signal(signal.SIGKILL)
            await self.ended()
            raise AssertionError(f"{self.name} did not end on SIGTERM: {self.errors}") from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = await self.stop()
        if kind is None:
            assert code == 0, f"{self.name} ended with {code}: {self.errors}"
