"""`make run`, typed in a fresh checkout: what it prints works as pasted, and it ends clean."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.up import welcome
from tests.support.clone import MakeRun, alive, clone
from tests.support.openai_judge import judge_chat_stream
from tests.support.process import ROOT
from tests.support.sandbox import Sandbox, accounts

ANSWER = "You said: “Say hello”. This is turn 1."
_SHOWN = re.compile(r'(?:"delta":{"content"|"textDelta":{"text"):"([^"]+)"')  # of the answer
_PRINTED = re.compile(
    r"Try it with curl:\n\n(?P<curl>.+?)\n\nwith the OpenAI package:\n\n(?P<python>.+?)\n\n"
    r"or over gRPC:\n\n(?P<buf>.+?)\n\nCtrl-C ends it\.",
    re.DOTALL,
)
_IN_A_TERMINAL = (
    sys.executable,
    "-c",
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))",
    "make",
    "--no-print-directory",
    "run",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return clone(tmp_path)


async def pasted(command: str, directory: Path) -> bytes:
    """Run a command in bash, elsewhere, and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        cwd=directory,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out


async def test_what_it_prints_works_as_pasted(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    async with MakeRun(checkout) as run:
        await run.until("Ctrl-C ends it.")
        printed = _PRINTED.search(run.said)
        assert printed is not None, run.said
        by_curl, by_python, by_buf = await asyncio.gather(
            *(pasted(printed[name], elsewhere) for name in ("curl", "python", "buf"))
        )
        verdict = judge_chat_stream(by_curl)
        assert (verdict.content, verdict.finish_reason) == (ANSWER, "stop")
        assert by_python.decode() == f"{ANSWER}\n"
        events = [event for message in objects(by_buf) for event in message["events"]]
        assert [event["seq"] for event in events] == [str(n) for n in range(1, len(events) + 1)]
        assert "".join(event.get("textDelta", {}).get("text", "") for event in events) == ANSWER
        assert events[-1]["ended"]["reason"] == "END_REASON_COMPLETED"
        services = (await pasted(listing(printed["buf"]), elsewhere)).decode().split()
        assert {"howler.task.v1.TaskService", "howler.pool.v1.PoolService"} <= set(services)
        run.signal(signal.SIGINT)
        await run.ended()
    assert (checkout / "var" / "sandbox.db").exists(), "its records stand in the checkout that it ran in"


def objects(raw: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects that buf printed one after the other."""
    text, found = raw.decode().strip(), []
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


def listing(call: str) -> str:
    """Return the `buf curl` line that lists the services of the same server."""
    buf, address = call.split(maxsplit=1)[0], call.rsplit(maxsplit=1)[-1].partition("/howler.")[0]
    return f"{buf} curl --protocol grpc --http2-prior-knowledge --list-services {address}"


async def test_a_platform_takes_the_place_of_the_sandbox(
    checkout: Path, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """P1.1: with HOWLER_UPSTREAM_URL and one cookie."""
    platform = {
        "HOWLER_UPSTREAM_URL": sandbox.url,
        "HOWLER_UPSTREAM_COOKIE": accounts()[0]["cookie"],
    }
    async with MakeRun(checkout, env=platform) as run:
        await run.until("Ctrl-C ends it.")
        assert not [command for command in run.descendants().values() if "-m sandbox" in command]
        printed = _PRINTED.search(run.said)
        assert printed is not None
        answer = judge_chat_stream(await pasted(printed["curl"], tmp_path_factory.mktemp("elsewhere")))
        assert answer.content == ANSWER
        run.signal(signal.SIGINT)
        await run.ended()
    assert [task["content"] for task in (await sandbox.state())["tasks"]] == ["Say hello"]
    assert (checkout / "var" / "howler.db").exists()


def test_the_readme_shows_what_it_prints() -> None:
    """The commands of the README are those that are printed, with the addresses of a default run."""
    readme = (ROOT / "README.md").read_text().replace("$ ", "").replace("    -d", "  -d")
    printed = _PRINTED.search(welcome("http://127.0.0.1:8080", "127.0.0.1:50051", sandboxed=True))
    assert printed is not None
    assert printed["curl"] in readme
    assert printed["buf"].replace(str(Path(sys.executable).parent), ".venv/bin") in readme
    shown = _SHOWN.findall(readme)
    assert len(shown) == 2
    assert all(piece in ANSWER for piece in shown)


async def test_ends_in_order_on_sigint(checkout: Path) -> None:
    """All three end, the one that others need last, and nothing is left running."""
    script = str(checkout / "deploy" / "up.py")
    async with MakeRun(checkout, str(checkout / ".venv" / "bin" / "python"), script) as run:
        await run.until("Ctrl-C ends it.")
        below = run.descendants()
        for name in ("sandbox", "server", "facade"):
            assert sum(f"-m {name}" in command for command in below.values()) == 1
        run.signal(signal.SIGINT)
        assert await run.ended() == 0
    stops = re.findall(r"make run: stopping the (\w+)", run.said)
    assert stops == ["facade", "server", "sandbox"]
    assert "Traceback" not in run.said
    assert not any(alive(pid) for pid in below)


async def test_ctrl_c_in_a_terminal(checkout: Path) -> None:
    """Through make and a terminal, where the signal reaches the whole foreground group."""
    async with MakeRun(checkout, *_IN_A_TERMINAL) as run:
        await run.until("Ctrl-C ends it.")
        below = run.descendants()
        run.type(b"\x03")
        await run.ended()
    stops = re.findall(r"make run: stopping the (\w+)", run.said)
    assert stops == ["facade", "server", "sandbox"]
    assert "Traceback" not in run.said
    assert not any(alive(pid) for pid in below)


@pytest.mark.parametrize("setting", ["HOWLER_SANDBOX_ADDR", "HOWLER_GRPC_ADDR", "HOWLER_HTTP_ADDR"])
async def test_a_taken_port_is_one_clear_line(checkout: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with MakeRun(checkout, env={setting: address}) as run:
            assert await run.ended() != 0
    assert len([line for line in run.said.splitlines() if setting in line]) == 1
    assert "Traceback" not in run.said
    assert "Howler is ready" not in run.said


@pytest.mark.parametrize("name", ["sandbox", "server", "facade"])
async def test_a_part_that_dies_ends_the_rest(checkout: Path, name: str) -> None:
    async with MakeRun(checkout) as run:
        await run.until("Ctrl-C ends it.")
        below = run.descendants()
        (pid,) = [pid for pid, command in below.items() if f"-m {name}" in command]
        os.kill(pid, signal.SIGKILL)
        assert await run.ended() != 0
    assert f"make run: the {name} ended by itself" in run.said
    assert "Traceback" not in run.said
    assert not any(alive(pid) for pid in below)
