"""What is measured: nothing at all (the floor), Howler's two processes, or any other gateway.

A contender is a set of processes on the gateway's CPUs and a URL to send load
to. Each stands in front of a stub of its own dialect.
"""

import asyncio
import re
import shlex
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.children import Child, Failed
from bench.client import Api
from bench.script import Dialect

_READY_SECONDS: Final = 60.0
_PEER: Final = re.compile(r"(?P<name>[A-Za-z0-9_.-]+)=(?P<command>.+)", re.DOTALL)
_SETTINGS: Final = {
    "HOWLER_UPSTREAM_COOKIE": "x",
    "HOWLER_ACCOUNT_SLOTS": "2000",
    "HOWLER_GRPC_ADDR": "127.0.0.1:0",
    "HOWLER_HTTP_ADDR": "127.0.0.1:0",
    "HOWLER_SHUTDOWN_GRACE": "1",
}


@dataclass(frozen=True, slots=True)
class Cpus:
    """Which CPUs belong to the gateway and which to stub and client; all to both where there is one."""

    gateway: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of(cls, available: frozenset[int]) -> "Cpus":
        """Give the first to the gateway and the second to the load."""
        first, *others = sorted(available)
        return cls(frozenset({first}), frozenset(others[:1] or [first]))


@dataclass(slots=True)
class Running:
    """A contender that takes load. `processes` are the gateway's."""

    url: str
    processes: list[Child] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Contender:
    """A gateway by name. `command` is a peer's, with {stub} and {port} in it; the others have none."""

    name: str
    api: Api
    dialect: Dialect = "native"
    command: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    async def start(self, stub: str, cpus: Cpus, folder: Path, stack: AsyncExitStack) -> Running:
        """Start it in front of the stub at this URL; the stack ends it. Raises Failed."""
        if self.api == "direct":
            return Running(stub)
        own = folder / self.name
        own.mkdir(exist_ok=True)
        if self.command:
            return await self._start_peer(stub, cpus, own, stack)
        return await self._start_howler(stub, cpus, own, stack)

    async def _start_howler(self, stub: str, cpus: Cpus, folder: Path, stack: AsyncExitStack) -> Running:
        database = {"HOWLER_DATABASE_URL": f"sqlite:///{folder / 'howler.db'}"}
        env = {"HOWLER_UPSTREAM_URL": stub, **_SETTINGS, **database, **self.env}
        server = await Child.module("server", cpus=cpus.gateway, folder=folder, env=env)
        stack.push_async_callback(server.stop)
        env["HOWLER_GRPC_TARGET"] = await server.address()
        facade = await Child.module("facade", cpus=cpus.gateway, folder=folder, env=env)
        stack.push_async_callback(facade.stop)
        return Running(await facade.address(), [server, facade])

    async def _start_peer(self, stub: str, cpus: Cpus, folder: Path, stack: AsyncExitStack) -> Running:
        port = _free_port()
        filled = self.command.replace("{stub}", stub).replace("{port}", str(port))
        peer = await Child.start(
            self.name, shlex.split(filled), cpus=cpus.gateway, env=self.env, folder=folder
        )
        stack.push_async_callback(peer.stop)
        peer.drain()
        await _until_open(peer, port)
        return Running(f"http://127.0.0.1:{port}", [peer])


def peer(option: str, dialect: Dialect, api: Api) -> Contender:
    """Read `name=command`. Raises Failed."""
    found = _PEER.fullmatch(option)
    if found is None or found["name"] in ("direct", "howler"):
        raise Failed(f"a peer is NAME=COMMAND, with a name of its own: {option!r}")
    return Contender(found["name"], api, dialect, found["command"])


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def _until_open(peer: Child, port: int) -> None:
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if peer.ended:
            raise peer.failed("ended at once")
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise peer.failed(f"did not listen on its port in {_READY_SECONDS:g} s")
