"""Runs the sandbox: `python -m sandbox`."""

import asyncio
import os
import signal
import sys

import uvloop
from aiohttp import web
from dotenv import dotenv_values

from sandbox import app, settings
from sandbox.world import backend
from sandbox.world.accounts import AccountsFileError


async def serve(chosen: settings.Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.AppRunner(app.build(backend.build(chosen)), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, chosen.host, chosen.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        where = f"[{host}]" if ":" in host else host
        print(f"sandbox: serving http://{where}:{port}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Return the exit code: 0 after a signal, 2 if a setting or the address is wrong."""
    addr = ""
    try:
        chosen = settings.read({**dotenv_values(".env"), **os.environ})
        addr = chosen.addr
        uvloop.run(serve(chosen))
    except (settings.SettingsError, AccountsFileError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sandbox: cannot listen on {addr} (HOWLER_SANDBOX_ADDR): {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
