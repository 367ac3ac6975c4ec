"""Secrets at rest, as an operator meets them: the key, a wrong one, its rotation, and where none is found."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from howler.pool.v1.pool_service_pb2 import AccountState, CheckAccountRequest, ListAccountsRequest
from howler.task.v1.task_event_pb2 import EndReason

from server.store.keyring import KeyFile, KeyRing
from server.store.open import store_at
from tests.support.command import run, started
from tests.support.howler import Howler
from tests.support.keys import KEYS
from tests.support.process import Program
from tests.support.sandbox import ACCOUNTS_FILE, Sandbox, accounts

ROWS = accounts()
KILLS = 6


def settings(folder: Path, sandbox: Sandbox, **more: str) -> dict[str, str]:
    return {
        "HOWLER_GRPC_ADDR": "127.0.0.1:0",
        "HOWLER_UPSTREAM_URL": sandbox.url,
        "HOWLER_DATABASE_URL": f"sqlite:///{folder / 'howler.db'}",
        **more,
    }


async def filled(folder: Path, sandbox: Sandbox, **more: str) -> dict[str, str]:
    """Import the sandbox's accounts into a new database; return its settings."""
    env = settings(folder, sandbox, **more)
    ended = await run("accounts", "import", "--file", str(ACCOUNTS_FILE), env=env, cwd=folder)
    assert (ended.code, ended.err) == (0, "")
    return env


async def last_words(folder: Path, env: dict[str, str]) -> str:
    """Start a server that cannot start and return its one line."""
    server = Program("server", env=env, cwd=folder)
    await server.start()
    assert await server.ended() == 2, server.errors
    (line,) = server.errors.splitlines()
    assert not any(key in line for key in KEYS)
    return line


async def test_a_wrong_key_is_one_line_at_the_start(tmp_path: Path, sandbox: Sandbox) -> None:
    """I12: exit code 2, the setting named, and nothing of any key."""
    env = await filled(tmp_path, sandbox)
    key = tmp_path / "howler.key"
    assert key.stat().st_mode & 0o777 == 0o600

    line = await last_words(tmp_path, env | {"HOWLER_SECRETS_KEY": KEYS[0]})
    assert line.startswith(
        "server: HOWLER_SECRETS_KEY does not hold the key that the database is sealed with"
    )
    key.chmod(0o644)
    assert (await last_words(tmp_path, env)).endswith(f"chmod 600 {key}")
    key.chmod(0o600)
    away = key.rename(tmp_path / "elsewhere.key")
    line = await last_words(tmp_path, env)
    assert line.startswith(f"server: HOWLER_SECRETS_KEY_FILE ({key}) does not hold the key")
    assert not key.exists(), "a new key would not open what the old one sealed"

    async with Program("server", env=env | {"HOWLER_SECRETS_KEY_FILE": str(away)}, cwd=tmp_path):
        pass
    text = away.read_text().splitlines()[-1]
    async with Program("server", env=env | {"HOWLER_SECRETS_KEY": text}, cwd=tmp_path):
        pass


async def test_two_servers_that_begin_at_once_share_the_key(tmp_path: Path, sandbox: Sandbox) -> None:
    env = settings(tmp_path, sandbox, HOWLER_UPSTREAM_COOKIE=ROWS[0]["cookie"])
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(_serve_once(tmp_path, env))
    # Both may register the account before either knows whose it is: the check makes them one.
    await run("accounts", "check", env=env, cwd=tmp_path)
    listed = await run("accounts", "list", env=env, cwd=tmp_path)
    assert sum("ACTIVE" in line for line in listed.lines) == 1


async def _serve_once(folder: Path, env: dict[str, str]) -> None:
    async with Program("server", env=env, cwd=folder):
        pass


async def test_a_rotation_beside_a_server(tmp_path: Path, sandbox: Sandbox) -> None:
    env = await filled(tmp_path, sandbox)
    file = KeyFile(tmp_path / "howler.key")
    async with Howler(tmp_path, upstream=sandbox.url, facade=False) as howler:
        assert (await howler.turn("before"))[-1].ended.reason == EndReason.END_REASON_COMPLETED
        (old,) = file.read()
        rotated = await run("secrets", "rotate", env=env, cwd=tmp_path)
        assert (rotated.code, rotated.err) == (0, "")
        assert [line[:3] for line in rotated.lines] == ["1/3", "2/3", "3/3"]
        (new,) = file.read()
        assert new != old
        assert not any(key.spelled in rotated.out for key in (old, new))
        await sandbox.faults(accounts={"expire": ["*"]})  # so that the server logs in and seals what it gets
        assert (await howler.turn("after"))[-1].ended.reason == EndReason.END_REASON_COMPLETED
        for account in (await howler.pool.ListAccounts(ListAccountsRequest())).accounts:
            asked = CheckAccountRequest(account_id=account.account_id)  # no login is under way at the end
            assert (await howler.pool.CheckAccount(asked)).account.state == AccountState.ACCOUNT_STATE_ACTIVE
    checked = await run("accounts", "check", env=env, cwd=tmp_path)
    assert (checked.code, checked.err) == (0, "")


async def test_a_rotation_of_the_setting(tmp_path: Path, sandbox: Sandbox) -> None:
    env = await filled(tmp_path, sandbox, HOWLER_SECRETS_KEY=KEYS[0])
    refused = await run("secrets", "rotate", env=env, cwd=tmp_path)
    assert refused.code == 2
    assert "put a new one before it" in refused.complaint
    both = env | {"HOWLER_SECRETS_KEY": f"{KEYS[1]},{KEYS[0]}"}
    rotated = await run("secrets", "rotate", env=both, cwd=tmp_path)
    assert (rotated.code, rotated.err) == (0, "")
    assert "8 accounts sealed" in rotated.out
    newest = env | {"HOWLER_SECRETS_KEY": KEYS[1]}
    assert (await run("accounts", "check", env=newest, cwd=tmp_path)).code == 0
    assert not (tmp_path / "howler.key").exists()


async def test_a_rotation_that_is_killed_loses_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    """I12: `kill -9` at any moment; whatever is left opens everything, and what was begun is finished."""
    env = await filled(tmp_path, sandbox)
    moment = random.Random(7)
    told: set[int] = set()
    for _ in range(KILLS):
        process = await started("secrets", "rotate", env=env, cwd=tmp_path)
        lines = moment.randrange(4)
        for _ in range(lines):
            await process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = await process.communicate()
        told.add(lines + len(rest[0].splitlines()))
        async with store_at(env["HOWLER_DATABASE_URL"], KeyRing(KeyFile(tmp_path / "howler.key"))) as store:
            opened = [(member.cookie, member.password) for member in (await store.books()).members]
        assert sorted(opened) == sorted((row["cookie"], row["password"]) for row in ROWS)
    assert len(told) > 1, "it was killed at several moments"
    assert (await run("secrets", "rotate", env=env, cwd=tmp_path)).code == 0
    assert len(KeyFile(tmp_path / "howler.key").read()) == 1
    assert keys_in(tmp_path) == ["howler.key"], "no draft with keys lies about"
    checked = await run("accounts", "check", env=env, cwd=tmp_path)
    assert (checked.code, checked.err) == (0, "")


async def test_no_secret_is_found_anywhere(tmp_path: Path, sandbox: Sandbox) -> None:
    """I12, J2: cookies and passwords in the database, beside it, in any log, in what commands say."""
    canaries = {one[name] for one in ROWS for name in ("cookie", "password")}
    env = settings(tmp_path, sandbox, HOWLER_LOG_LEVEL="debug", HOWLER_ACCOUNTS_FILE=str(ACCOUNTS_FILE))
    said = ""
    async with Howler(tmp_path, upstream=sandbox.url, facade=False, env=env) as howler:
        await howler.turn("hello")
        await sandbox.faults(accounts={"expire": ["*"]})
        await howler.turn("hello again")
        for arguments in (
            ("accounts", "import", "--file", str(ACCOUNTS_FILE)),
            ("accounts", "list"),
            ("accounts", "check", "--json"),
            ("secrets", "rotate"),
        ):
            ended = await run(*arguments, env=env, cwd=tmp_path)
            said += ended.out + ended.err
        assert not found(canaries, files_of(tmp_path)), (
            "while the server runs, with its log of what is not written yet"
        )
        async with Program("server", env=env, cwd=tmp_path) as other:
            pass
        said += other.errors
    said += howler.server.errors
    assert not found(canaries, files_of(tmp_path))
    assert not found(canaries, said.encode())
    key = KeyFile(tmp_path / "howler.key").read()[0].spelled
    assert not found({key}, files_of(tmp_path, but=".key") + said.encode())


@pytest.mark.parametrize("kind", ["cookie", "password"])
def test_the_search_finds_what_is_there(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"\0" + ROWS[0][kind].encode() + b"\0")
    assert found({ROWS[0][kind]}, files_of(tmp_path))


def keys_in(folder: Path) -> list[str]:
    """Return the names of the files of a folder that are a key file or were to become one."""
    return [one.name for one in folder.iterdir() if "howler.key" in one.name]


def files_of(folder: Path, but: str = "") -> bytes:
    """Return the bytes of all files of a folder, those with the ending `but` left out."""
    return b"\0".join(
        Path(at, name).read_bytes()
        for at, _, names in os.walk(folder)
        for name in names
        if Path(at, name).is_file() and not (but and name.endswith(but))
    )


def found(secrets: set[str], content: bytes) -> set[str]:
    """Return the secrets that stand in it."""
    return {secret for secret in secrets if secret.encode() in content}
