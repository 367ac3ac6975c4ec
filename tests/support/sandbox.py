"""The sandbox as its own process, for tests: started on a free port, asked and harmed over HTTP."""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
ACCOUNTS_FILE = ROOT / "sandbox" / "accounts.json"
_READY_S = 30.0


def accounts() -> list[dict[str, Any]]:
    """Return the accounts file: email, password, slots, name, cookie of each account."""
    rows: list[dict[str, Any]] = json.loads(ACCOUNTS_FILE.read_text("utf-8"))
    return rows


class Sandbox:
    """`async with Sandbox(HOWLER_SANDBOX_BOOT_MS="20") as sandbox: sandbox.url`.

    Keywords are environment variables over the defaults: a free port, a boot of 20 ms.
    """

    def __init__(self, **environ: str) -> None:
        self._environ = {
            "HOWLER_SANDBOX_ADDR": "127.0.0.1:0",
            "HOWLER_SANDBOX_BOOT_MS": "20",
        } | environ
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOWLER_")}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sandbox",
            cwd=ROOT,
            env=inherited | self._environ,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = (await asyncio.wait_for(self._process.stdout.readline(), _READY_S)).decode()
        if "serving " not in line:
            await self._process.wait()
            raise RuntimeError(f"the sandbox did not start: {line!r}")
        self.url = line.split("serving ")[1].strip()
        self._session = aiohttp.ClientSession(self.url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
        if self._process is not None:
            if self._process.returncode is None:
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _READY_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
                raise
            # The transport of the pipe closes a moment after the process; a warning if the loop ends first.
            self._process._transport.close()  # type: ignore[attr-defined]

    @property
    def ws_url(self) -> str:
        """The address for WebSockets."""
        return self.url.replace("http://", "ws://", 1)

    async def faults(self, **order: object) -> None:
        """Order faults: parts stream, control, routes, platform, accounts, machines (sandbox/README.md)."""
        async with self._own().put("/__sandbox/faults", json=order) as response:
            assert response.status == 200, await response.text()

    async def reset(self) -> None:
        """Take all faults back."""
        async with self._own().delete("/__sandbox/faults") as response:
            assert response.status == 200, await response.text()

    async def state(self) -> dict[str, Any]:
        """Return what the sandbox received and holds."""
        async with self._own().get("/__sandbox/state") as response:
            state: dict[str, Any] = await response.json()
            return state

    def _own(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the sandbox is not running"
        return self._session
