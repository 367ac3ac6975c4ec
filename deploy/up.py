"""`make run`: starts sandbox, server and facade in this order and ends them in the other.

The sandbox is started only where HOWLER_UPSTREAM_URL names no platform. Every
process is a child of its own; what it logs is passed on behind its name.
"""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
SANDBOX_DATABASE: Final = "var/sandbox.db"


class Failed(Exception):
    """A child did not start, or ended by itself; the message is one line for people."""


class Child:
    """One process of Howler. `address` is where it says that it serves."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.address = ""
        self._process = process
        self._ready = asyncio.Event()
        self._pumps = [
            asyncio.create_task(self._pump(stream)) for stream in (process.stdout, process.stderr) if stream
        ]

    @classmethod
    async def spawn(cls, name: str, env: dict[str, str]) -> "Child":
        """Start `python -m name`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            name,
            cwd=ROOT,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C in a terminal reaches only us, who end them in order
        )
        return cls(name, process)

    async def _pump(self, stream: asyncio.StreamReader) -> None:
        mark = f"{self.name}: serving "
        async for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            if line.startswith(mark):
                self.address = line.removeprefix(mark)
                self._ready.set()
            else:
                print(f"{self.name:8}| {line}", file=sys.stderr, flush=True)

    async def ready(self) -> None:
        """Return when the process says where it serves. Raises Failed."""
        ready, ended = asyncio.create_task(self._ready.wait()), asyncio.create_task(self.ended())
        try:
            await asyncio.wait({ready, ended}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if self._ready.is_set():
            return
        code = self._process.returncode
        raise Failed(
            f"{self.name} was not ready in {START_SECONDS:g} s"
            if code is None
            else f"{self.name} ended with exit code {code}; its last line above says why"
        )

    async def ended(self) -> None:
        """Return once the process has ended and its last lines are shown."""
        await self._process.wait()
        await asyncio.gather(*self._pumps)

    async def stop(self) -> None:
        """Ask the process to end, and wait for it."""
        if self._process.returncode is None:
            print(f"make run: stopping the {self.name}", file=sys.stderr, flush=True)
            self._process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                print(f"make run: the {self.name} does not end, killing it", file=sys.stderr)
                self._process.kill()
        await self.ended()


async def main() -> int:
    """Run Howler until Ctrl-C or until a part of it ends; return the exit code."""
    children: list[Child] = []
    running = asyncio.create_task(run(children))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except Failed as failure:
        print(f"make run: {failure}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 0
    finally:
        for child in reversed(children):
            await child.stop()
    return 0


async def run(children: list[Child]) -> None:
    """Start the children in order, say how to use them, and watch them. Raises Failed."""
    env = dict(os.environ)
    settings = {**dotenv_values(ROOT / ".env"), **env}

    async def start(name: str) -> str:
        child = await Child.spawn(name, env)
        children.append(child)
        await child.ready()
        return child.address

    sandboxed = not settings.get("HOWLER_UPSTREAM_URL")
    if sandboxed:
        env |= sandbox_settings(await start("sandbox"), settings)
    grpc_address = await start("server")
    env["HOWLER_GRPC_TARGET"] = settings.get("HOWLER_GRPC_TARGET") or grpc_address
    http_address = await start("facade")
    await until_ready(http_address)
    print(welcome(http_address, grpc_address, sandboxed=sandboxed), flush=True)
    watches = {asyncio.create_task(child.ended()): child for child in children}
    ended, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
    names = ", ".join(watches[watch].name for watch in ended)
    raise Failed(f"the {names} ended by itself; its last line above says why")


def sandbox_settings(url: str, settings: dict[str, str | None]) -> dict[str, str]:
    """Return what the server needs to use the sandbox: its accounts, and a database of their own.

    The sandbox forgets everything when it ends, so the records of its tasks begin anew too.
    """
    env = {"HOWLER_UPSTREAM_URL": url}
    if not settings.get("HOWLER_ACCOUNTS_FILE"):
        env["HOWLER_ACCOUNTS_FILE"] = str(ROOT / "sandbox" / "accounts.json")
    if not settings.get("HOWLER_DATABASE_URL"):
        for suffix in ("", "-wal", "-shm"):
            (ROOT / (SANDBOX_DATABASE + suffix)).unlink(missing_ok=True)
        env["HOWLER_DATABASE_URL"] = f"sqlite:///{SANDBOX_DATABASE}"
    return env


async def until_ready(url: str) -> None:
    """Return when `GET /readyz` answers 200. Raises Failed."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(ask):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Failed(f"{url}/readyz did not say ready in {START_SECONDS:g} s") from None


def welcome(http: str, target: str, *, sandboxed: bool) -> str:
    """Return what is ready, and three ways to try it that work as pasted."""
    upstream = (
        "the bundled sandbox (set HOWLER_UPSTREAM_URL and HOWLER_UPSTREAM_COOKIE for a real MonkeyCode)"
        if sandboxed
        else "the platform of HOWLER_UPSTREAM_URL"
    )
    return f"""
Howler is ready.
  OpenAI clients   {http}/v1
  gRPC             {target}
  upstream         {upstream}

Try it with curl:

curl -N {http}/v1/chat/completions -H 'content-type: application/json' \\
  -d '{{"model":"default","stream":true,"messages":[{{"role":"user","content":"Say hello"}}]}}'

with the OpenAI package:

{sys.executable} - <<'EOF'
from openai import OpenAI
client = OpenAI(base_url="{http}/v1", api_key="any")
stream = client.chat.completions.create(
    model="default", messages=[{{"role": "user", "content": "Say hello"}}], stream=True)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
EOF

or over gRPC:

{Path(sys.executable).parent / "buf"} curl --protocol grpc --http2-prior-knowledge \\
  -d '{{"start":{{"prompt":"Say hello"}}}}' http://{target}/howler.task.v1.TaskService/Stream

Ctrl-C ends it.
"""


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
