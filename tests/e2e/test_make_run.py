"""`make run`, typed in a fresh checkout: what it prints works as pasted, and it ends clean."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support.clone import MakeRun, alive, clone
from tests.support.openai_judge import judge_chat_stream

ANSWER = "You said: “Say hello”. This is turn 1."
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


def objects(raw: bytes) -> list[dict[str, list[dict[str, dict[str, str]]]]]:
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
