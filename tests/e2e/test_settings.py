"""What each program says of settings that it cannot take: one line that names the setting, exit code 2."""

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import facade.config
import server.config
from server.config import Misconfigured, read_settings
from tests.support.process import Program

CANARY = "canary-7f3a"
SECRETS = {
    "HOWLER_UPSTREAM_EMAIL": "ann@example.com",
    "HOWLER_UPSTREAM_PASSWORD": CANARY,
    "HOWLER_UPSTREAM_BASIC_AUTH": f"user:{CANARY}",
}
ENOUGH = {
    "sandbox": {"HOWLER_SANDBOX_ADDR": "127.0.0.1:0"},
    "server": {"HOWLER_GRPC_ADDR": "127.0.0.1:0", "HOWLER_UPSTREAM_URL": "https://127.0.0.1:1"},
    "facade": {"HOWLER_HTTP_ADDR": "127.0.0.1:0"},
}
"""What each program needs to start on any machine."""

WRONG = [
    ("sandbox", "HOWLER_SANDBOX_ADDR", "localhost"),
    ("sandbox", "HOWLER_SANDBOX_PING_S", "often"),
    ("sandbox", "HOWLER_SANDBOX_COLOUR", CANARY),
    ("server", "HOWLER_UPSTREAM_URL", f"http://user:{CANARY}@127.0.0.1:1"),
    ("server", "HOWLER_UPSTREAM_CA_FILE", "nowhere.pem"),
    ("server", "HOWLER_UPSTREAM_EMAIL", ""),  # a password without one
    ("server", "HOWLER_ACCOUNTS_FILE", "nowhere.json"),
    ("server", "HOWLER_DATABASE_URL", f"mysql://user:{CANARY}@127.0.0.1/howler"),
    ("server", "HOWLER_DATABASE_URL", f"postgresql://user:{CANARY}@127.0.0.1:1/howler"),  # nobody listens
    ("server", "HOWLER_QUEUE_TIMEOUT", "soon"),
    ("server", "HOWLER_GRPC_ADDR", "nowhere"),
    ("server", "HOWLER_COLOUR", CANARY),
    ("facade", "HOWLER_MODEL_FALLBACK", "perhaps"),
    ("facade", "HOWLER_COLOUR", CANARY),
]


async def last_words(program: str, directory: Path, env: dict[str, str]) -> str:
    """Run a program that cannot start and return the one line that it says."""
    started = Program(program, env={**SECRETS, **ENOUGH[program], **env}, cwd=directory)
    await started.start()
    assert await started.ended() == 2, started.errors
    assert CANARY not in started.errors
    (line,) = started.errors.splitlines()
    return line


@pytest.mark.parametrize(("program", "name", "value"), WRONG)
async def test_a_wrong_setting_is_one_line(tmp_path: Path, program: str, name: str, value: str) -> None:
    line = await last_words(program, tmp_path, {name: value})
    assert line.startswith(f"{program}: ")
    assert name in line


@pytest.mark.parametrize(
    ("program", "name", "value"),
    [
        ("sandbox", "HOWLER_SANDBOX_PING_S", "often"),
        ("server", "HOWLER_COLOUR", CANARY),
        ("facade", "HOWLER_COLOUR", CANARY),
    ],
)
async def test_so_is_one_in_dotenv(tmp_path: Path, program: str, name: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"HOWLER_UPSTREAM_EMAIL={CANARY}\n{name}={value}\n")
    assert name in await last_words(program, tmp_path, {})


@pytest.mark.parametrize("program", ENOUGH)
async def test_the_settings_of_all_stand_in_one_dotenv(tmp_path: Path, program: str) -> None:
    """One file serves the three programs; the environment wins, and what is empty counts as not said."""
    own = set(server.config.Settings.model_fields) | set(facade.config.Settings.model_fields)
    said = "".join(f"HOWLER_{name.upper()}=\n" for name in own)
    (tmp_path / ".env").write_text(f"{said}HOWLER_SANDBOX_SLEEP_S=\nHOWLER_SANDBOX_ADDR=nowhere\nOTHER=1\n")
    async with Program(program, env=ENOUGH[program], cwd=tmp_path) as started:
        assert started.address.rpartition(":")[2].isdecimal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOWLER_GRPC_ADDR", "127.0.0.1:65536"),
        ("HOWLER_UPSTREAM_DIALECT", "klingon"),
        ("HOWLER_ACCOUNT_SLOTS", "0"),
        ("HOWLER_BOOT_TIMEOUT", "0"),
        ("HOWLER_IDLE_TIMEOUT", "nan"),
        ("HOWLER_TURN_TIMEOUT", "inf"),
        ("HOWLER_DISCONNECT_GRACE", "-1"),
        ("HOWLER_LOG_LEVEL", "loud"),
    ],
)
def test_bounds_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.chdir(tmp_path)
    for setting in (one for one in os.environ if one.startswith("HOWLER_")):
        monkeypatch.delenv(setting)
    monkeypatch.setenv("HOWLER_UPSTREAM_URL", "http://127.0.0.1:1")
    read_settings()
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=f"^{name}: .+"):
        read_settings()


@pytest.mark.parametrize(
    ("program", "setting"), [("server", "HOWLER_GRPC_ADDR"), ("facade", "HOWLER_HTTP_ADDR")]
)
async def test_a_taken_port_is_one_line(tmp_path: Path, program: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = await last_words(program, tmp_path, {setting: address})
    assert line.startswith(f"{program}: {setting}: cannot listen on {address}")


async def test_the_server_needs_a_platform(tmp_path: Path) -> None:
    assert "HOWLER_UPSTREAM_URL" in await last_words("server", tmp_path, {"HOWLER_UPSTREAM_URL": ""})


async def test_a_database_of_a_newer_howler(tmp_path: Path) -> None:
    """Issue 4: it is refused, and left as it is."""
    database = tmp_path / "newer.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT")
        connection.execute("INSERT INTO schema_version (version) VALUES (9999)")
    before = database.read_bytes()
    line = await last_words("server", tmp_path, {"HOWLER_DATABASE_URL": f"sqlite:///{database}"})
    assert line.startswith("server: the database has schema 9999, this Howler knows ")
    assert "use the newer Howler" in line
    assert database.read_bytes()[100:] == before[100:], "all but the header, in which SQLite notes its WAL"


async def test_an_accounts_file_that_makes_no_sense(tmp_path: Path) -> None:
    (tmp_path / "accounts.json").write_text(f'[{{"password": "{CANARY}"}}]')
    line = await last_words("server", tmp_path, {"HOWLER_ACCOUNTS_FILE": "accounts.json"})
    assert line.startswith("server: HOWLER_ACCOUNTS_FILE: accounts.json")


def test_each_program_knows_the_names_of_the_others() -> None:
    """A setting that is added to one must not be unknown to the other, which reads the same `.env`."""
    of_server = {f"HOWLER_{name.upper()}" for name in server.config.Settings.model_fields}
    of_facade = {f"HOWLER_{name.upper()}" for name in facade.config.Settings.model_fields}
    assert of_facade - of_server == server.config.ELSEWHERE
    assert of_server - of_facade == facade.config.ELSEWHERE
