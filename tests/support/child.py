"""A program that its nursery forked: its files, its signals and its end, as of a process that was started."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 30.0


def clean_environ(**env: str) -> dict[str, str]:
    """Return an environment in which no HOWLER_* of the machine stands, but what `env` gives."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HOWLER_")}
    return {**clean, "PYTHONPATH": str(ROOT), **env}


class Nursery:
    """The process that forks the children of a program."""

    _all: "dict[str, Nursery]" = {}  # noqa: RUF012 -- one per program and test run, whatever the loops do

    def __init__(self, name: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.support.nursery", name]
        self._process = subprocess.Popen(command, cwd=ROOT, env=clean_environ(), stdin=theirs.fileno())
        theirs.close()

    @classmethod
    def fork(cls, name: str, order: bytes, files: list[int]) -> int:
        """Fork a child and return its process id. Blocks: a second or two for the first one."""
        with _lock:
            if name not in cls._all:
                cls._all[name] = Nursery(name)
            socket.send_fds(cls._all[name]._socket, [order], files)
            told = cls._all[name]._socket.recv(32)
            assert told, f"the nursery of {name} ended"
            return int(told)

    @classmethod
    def close_all(cls) -> None:
        """End the nurseries, and whichever of their children are left."""
        for nursery in cls._all.values():
            nursery._socket.close()
            nursery._process.wait(END_SECONDS)
        cls._all.clear()


_lock = threading.Lock()


class Child:
    """`python -m name arguments`, forked. `returncode` is None until it has ended; negative for a signal."""

    def __init__(
        self, pid: int, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader, end: int
    ) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(end, self._ended, end)

    @classmethod
    async def born(
        cls, name: str, *arguments: str, env: Mapping[str, str], cwd: Path, stdin: bytes = b""
    ) -> Self:
        """Let the nursery of the program fork one."""
        order = json.dumps({"arguments": arguments, "env": dict(env), "cwd": str(cwd)}).encode()
        (out, its_out), (err, its_err), (end, its_end) = (os.pipe() for _ in range(3))
        with TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            theirs = [given.fileno(), its_out, its_err, its_end]
            try:
                pid = await asyncio.to_thread(Nursery.fork, name, order, theirs)
            finally:
                for file in theirs[1:]:
                    os.close(file)
        return cls(pid, await _reader(out), await _reader(err), end)

    def _ended(self, end: int) -> None:
        self._loop.remove_reader(end)
        told = os.read(end, 32)
        os.close(end)
        self._end.set_result(int(told or -signal.SIGKILL))  # its nursery ended, and it did, too

    @property
    def returncode(self) -> int | None:
        """The exit code, once it has ended."""
        return self._end.result() if self._end.done() else None

    async def wait(self) -> int:
        """Return the exit code once it has ended."""
        return await asyncio.shield(self._end)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it said on stdout and stderr until its end."""
        said = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self._end.done():
            os.kill(self.pid, number)


async def _reader(file: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb", buffering=0)
    )
    return reader
