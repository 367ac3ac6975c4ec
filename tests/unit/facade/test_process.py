"""`python -m facade` as a process: its ready line, its settings, its end."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from facade.config import Settings, SettingsError, host_and_port
from facade.openai.start import ForwardInstructions
from tests.support.facade import accepted, started, text
from tests.support.facade_peer import Peer, serve_peer
from tests.support.line import judge_frames, line_to
from tests.support.openai_judge import judge_chat_stream
from tests.support.process import Program


def facade(tmp_path: Path, **env: str) -> Program:
    return Program("facade", env={"HOWLER_HTTP_ADDR": "127.0.0.1:0"} | env, cwd=tmp_path)


async def test_starts_without_its_server_and_ends_on_sigint(tmp_path: Path) -> None:
    async with facade(tmp_path, HOWLER_GRPC_TARGET="127.0.0.1:1") as program:
        async with httpx2.AsyncClient(base_url=program.address, trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).status_code == 503
        program.signal(signal.SIGINT)
        assert await program.ended() == 0
    assert "Traceback" not in program.errors


def test_grpc_knows_what_it_is_asked_to_leave_out() -> None:
    """Decision 0029; a grpcio that does not says so."""
    told = subprocess.run([sys.executable, "-c", "import facade.__main__"], capture_output=True, check=True)
    assert told.stderr == b""


async def test_running_turns_are_told_of_the_end(tmp_path: Path) -> None:
    """No stream is cut without its terminal signal, nor is anything of the prompt logged."""
    peer = Peer([[accepted(), started(), text("half")], asyncio.Event()])
    raw = b""
    async with serve_peer(peer) as target, facade(tmp_path, HOWLER_GRPC_TARGET=target) as program:
        async with httpx2.AsyncClient(base_url=program.address, timeout=60, trust_env=False) as http:
            body = {"messages": [{"role": "user", "content": "my secret plan"}], "stream": True}
            async with http.stream("POST", "/v1/chat/completions?key=sk-1", json=body) as answer:
                async for piece in answer.aiter_bytes():
                    if not raw:
                        program.signal(signal.SIGINT)
                        program.signal(signal.SIGTERM)  # asked twice: without patience
                    raw += piece
        assert await program.ended() == 0
        await asyncio.wait_for(peer.left.wait(), 60)
    error = judge_chat_stream(raw).error
    assert error is not None
    assert error["code"] == "service_unavailable"
    assert "POST /v1/chat/completions 200" in program.errors
    assert "secret" not in program.errors
    assert "sk-1" not in program.errors


async def test_running_answers_over_websockets_are_told_of_the_end(tmp_path: Path) -> None:
    peer = Peer([[accepted(), started(), text("half")], asyncio.Event()])
    async with serve_peer(peer) as target, facade(tmp_path, HOWLER_GRPC_TARGET=target) as program:
        async with line_to(program.address) as line, line_to(program.address) as idle:
            await line.create(input="hi", store=False)
            begun = await line.hear("response.output_text.delta")
            program.signal(signal.SIGINT)
            program.signal(signal.SIGTERM)
            verdict = judge_frames(begun + await line.hear())
            for socket_ in (line.socket, idle.socket):
                await asyncio.wait_for(socket_.wait_closed(), 60)
                assert socket_.close_code == 1012
        assert await program.ended() == 0
    assert (verdict.terminal, verdict.text) == ("response.failed", "half")
    assert "Traceback" not in program.errors


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOWLER_HTTP_ADDR", "nowhere"),
        ("HOWLER_HTTP_ADDR", "127.0.0.1:99999"),
        ("HOWLER_MAX_BODY_BYTES", "-1"),
        ("HOWLER_FORWARD_INSTRUCTIONS", "sometimes"),
        ("HOWLER_LOG_LEVEL", "loud"),
    ],
)
async def test_wrong_setting_is_one_line_and_exit_2(tmp_path: Path, name: str, value: str) -> None:
    program = facade(tmp_path, **{name: value})
    await program.start()
    assert await program.ended() == 2
    (line,) = program.errors.splitlines()
    assert line.startswith(f"facade: {name}: ")


async def test_address_in_use_is_one_line_and_exit_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        program = facade(tmp_path, HOWLER_HTTP_ADDR=address)
        await program.start()
        assert await program.ended() == 2
    (line,) = program.errors.splitlines()
    assert line.startswith("facade: HOWLER_HTTP_ADDR: ")


def test_settings_from_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "HOWLER_GRPC_ADDR=127.0.0.1:7\nHOWLER_MODEL_FALLBACK=true\nHOWLER_UPSTREAM_URL=x\nOTHER=1\n"
    Path(".env").write_text(lines)
    monkeypatch.setenv("HOWLER_FORWARD_INSTRUCTIONS", "never")
    settings = Settings.load()
    assert settings.target() == "127.0.0.1:7"
    assert settings.model_fallback
    assert settings.forward_instructions is ForwardInstructions.NEVER
    assert settings.max_body_bytes == 10 * 1024 * 1024


def test_wrong_setting_does_not_tell_its_value() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(grpc_addr="pass word")
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(("address", "parts"), [("[::1]:80", ("::1", 80)), ("localhost:0", ("localhost", 0))])
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert host_and_port(address) == parts


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
