"""A checkout to run `make` in: the files of this one, but a `.env` and a `var/` of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.process import ROOT

_FREE_PORTS: Final = """\
HOWLER_HTTP_ADDR=127.0.0.1:0
HOWLER_GRPC_ADDR=127.0.0.1:0
HOWLER_SANDBOX_ADDR=127.0.0.1:0
"""
_OWN: Final = {"deploy", "Makefile"}  # copied, for they look for the root from where they stand
_NOT_IN_A_CLONE: Final = {".env", ".git", ".venv", "var"}
_SECONDS: Final = 60.0


def clone(directory: Path) -> Path:
    """Lay a checkout out in the directory: links to everything, its own recipes, free ports in `.env`."""
    for entry in ROOT.iterdir():
        if entry.name in _OWN:
            copy = shutil.copytree if entry.is_dir() else shutil.copy
            copy(entry, directory / entry.name)
        elif entry.name not in _NOT_IN_A_CLONE and "cache" not in entry.name:
            (directory / entry.name).symlink_to(entry)
    _link_venv(directory / ".venv")
    (directory / ".env").write_text(_FREE_PORTS)
    return directory


def _link_venv(venv: Path) -> None:
    """Lay out a .venv that is newer than any lock: `make` must not set the linked one up anew."""
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".made-from-lock":
            (venv / entry.name).symlink_to(entry)
    (venv / ".made-from-lock").touch()


class MakeRun:
    """`make run` in a checkout, from its start to its end.

    `said` is all that it printed, on either stream.
    """

    def __init__(self, checkout: Path, *command: str, env: Mapping[str, str] | None = None) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HOWLER_", "MAKE"))}
        self.said = ""
        self._env = {**clean, **(env or {})}
        self._checkout = checkout
        self._command = command or ("make", "--no-print-directory", "run")
        self._process: asyncio.subprocess.Process
        self._read: asyncio.Task[None]
        self._more = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self._checkout,
            env=self._env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._read = asyncio.create_task(self._collect())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            for pid in [*self.descendants(), self._process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await self._process.wait()
        await self._read
        self._process._transport.close()  # type: ignore[attr-defined]

    async def _collect(self) -> None:
        assert self._process.stdout is not None
        while piece := await self._process.stdout.read(65536):
            self.said += piece.decode(errors="replace").replace("\r\n", "\n")
            async with self._more:
                self._more.notify_all()
        async with self._more:
            self._more.notify_all()

    async def until(self, words: str) -> None:
        """Return once it has printed the words; fails where it ends before."""

        def seen() -> bool:
            return words in self.said or self._process.stdout is None or self._process.stdout.at_eof()

        async with asyncio.timeout(_SECONDS), self._more:
            await self._more.wait_for(seen)
        assert words in self.said, self.said

    def type(self, keys: bytes) -> None:
        """Type into its terminal."""
        assert self._process.stdin is not None
        self._process.stdin.write(keys)

    def signal(self, number: int) -> None:
        """Send a signal to its process group, as a terminal does."""
        os.killpg(self._process.pid, number)

    async def ended(self) -> int:
        """Return its exit code once it has ended; negative for a signal."""
        async with asyncio.timeout(_SECONDS):
            code = await self._process.wait()
            await self._read
        return code

    def descendants(self) -> dict[int, str]:
        """Return the processes below it: their ids and command lines."""
        found: dict[int, str] = {}
        waiting = [self._process.pid]
        while waiting:
            for child in _children(waiting.pop()):
                found[child] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                waiting.append(child)
        return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        children += map(int, listed.read_text().split())
    return children


def alive(pid: int) -> bool:
    """Tell whether a process exists and is not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False
