"""`python -m sandbox` as a process: its one line, its end, its refusals."""

import asyncio
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from tests.support.sandbox import ROOT, Caller, heard_until, sandbox_environ


def _start(**environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        cwd=ROOT,
        env=sandbox_environ(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_serves_and_ends_cleanly(number: signal.Signals) -> None:
    with _start() as process:
        assert process.stdout is not None
        match = re.fullmatch(r"sandbox: serving (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert match
        with urllib.request.urlopen(f"{match[1]}/readyz") as response:
            assert response.status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")


async def test_open_sockets_and_running_turns_do_not_keep_it() -> None:
    with _start() as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        async with Caller(url) as caller:
            task_id = await caller.create("/mute")
            async with caller.socket(task_id) as ws, caller.socket(task_id, channel="control"):
                await heard_until(ws, "task-started")
                process.terminate()
                assert (await ws.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
                assert ws.close_code == aiohttp.WSCloseCode.GOING_AWAY
                out, err = await asyncio.to_thread(process.communicate, timeout=60)
                assert (process.returncode, out, err) == (0, "", "")
                caller.forget(task_id)


@pytest.mark.parametrize(
    "environ",
    [
        {"HOWLER_SANDBOX_ADDR": "nowhere"},
        {"HOWLER_SANDBOX_ADDR": "127.0.0.1:99999"},
        {"HOWLER_SANDBOX_ADDR": "192.0.2.1:8090"},
        {"HOWLER_SANDBOX_BOOT_MS": "soon"},
        {"HOWLER_SANDBOX_PING_S": "0"},
        {"HOWLER_SANDBOX_NAP_S": "1"},
        {"HOWLER_SANDBOX_ACCOUNTS": "/nowhere.json"},
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_clear_line_and_exit_2(environ: dict[str, str]) -> None:
    with _start(**environ) as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, "")
        assert re.fullmatch(r"sandbox: [^\n]+\n", err)


def test_a_taken_port_is_one_clear_line_and_exit_2(shared_url: str) -> None:
    with _start(HOWLER_SANDBOX_ADDR=shared_url.removeprefix("http://")) as process:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, "")
        assert err.startswith("sandbox: cannot listen")


def test_it_shares_no_code_with_the_server_or_the_facade() -> None:
    for path in Path(ROOT, "sandbox").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (server|facade)\b", path.read_text("utf-8"), re.MULTILINE)
