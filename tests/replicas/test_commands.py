"""`python -m server accounts …` as real processes against the sandbox, without a server and beside one."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from howler.pool.v1.pool_service_pb2 import Account, ListAccountsRequest
from howler.task.v1.task_event_pb2 import EndReason

from tests.support.command import Ended, run
from tests.support.howler import Howler, reason_of, text_of
from tests.support.sandbox import Sandbox, accounts

ROWS = accounts()
FIRST, SECOND = ROWS[:2]
Command = Callable[..., Coroutine[Any, Any, Ended]]


@pytest.fixture
def command(tmp_path: Path, sandbox: Sandbox) -> Command:
    """Run a command on the database of this test; `env` adds settings."""

    async def ran(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Ended:
        settings = {
            "HOWLER_UPSTREAM_URL": sandbox.url,
            "HOWLER_DATABASE_URL": f"sqlite:///{tmp_path / 'howler.db'}",
            **(env or {}),
        }
        ended = await run(*arguments, env=settings, cwd=tmp_path, stdin=stdin)
        for secret in (one[name] for one in ROWS for name in ("cookie", "password")):
            assert secret not in ended.out + ended.err
        return ended

    return ran


@pytest.fixture
def server(tmp_path: Path, sandbox: Sandbox) -> AbstractAsyncContextManager[Howler]:
    """A server on the same database, with no account of its own."""
    return Howler(tmp_path, upstream=sandbox.url, facade=False, env={"HOWLER_QUEUE_TIMEOUT": "20"})


async def imported(command: Command, row: dict[str, Any]) -> str:
    """Import an account and return its id."""
    ended = await command("accounts", "import", "--cookie", "-", "--json", stdin=row["cookie"])
    assert ended.code == 0, ended.err
    account_id: str = ended.objects[0]["account"]["account_id"]
    return account_id


async def known(howler: Howler, right: Callable[[list[Account]], bool]) -> None:
    """Wait until the server's accounts are right."""
    async with asyncio.timeout(60):
        while not right(list((await howler.pool.ListAccounts(ListAccountsRequest())).accounts)):
            await asyncio.sleep(0.02)


async def test_import_of_a_cookie_says_what_was_found(command: Command) -> None:
    """P1.1, P12: one account from one command."""
    ended = await command("accounts", "import", "--cookie", "-", stdin=FIRST["cookie"] + "\n")
    assert (ended.code, ended.err) == (0, "")
    head, *facts = ended.lines
    outcome, account_id = head.split()
    assert outcome == "imported"
    told = {fact[:11].strip(): fact[11:] for fact in facts if fact[2:11].strip()}
    assert told["user"] == "Agent 1 <a•••@sandbox.example>"
    assert told["state"] == "ACTIVE"
    assert told["plan"] == "pro"
    assert told["slots"] == "0 of 1 in use; its plan usually allows 3 tasks at a time"
    assert told["balance"] == "100.00; 5,000,000 of 5,000,000 tokens left today"
    assert "may be used:" in told["models"]
    assert any("monkeycode/" in fact for fact in facts)

    again = await command("accounts", "import", "-", "--slots", "2", stdin=FIRST["cookie"])
    assert again.lines[0] == f"renewed {account_id}"
    listed = await command("accounts", "list")
    (row,) = listed.lines[1:]
    assert row.split()[:2] == [account_id, "a•••@sandbox.example"]
    assert "0/2" in row


async def test_import_of_a_list_goes_on_past_what_is_refused(command: Command, tmp_path: Path) -> None:
    """P12.1: the TypeScript proxy's list, one line per account as it is done."""
    proxys = [
        {"email": row["email"], "password": row["password"], "mode": "user", "cookie": "", "slots": 2}
        for row in ROWS
    ]
    wrong = [
        {"email": "admin@sandbox.example", "password": "sandbox-admin", "mode": "team"},
        {"email": "agent9@sandbox.example", "password": "wrong-canary"},
        {"cookie": "0f6f3c1e-0000-4a57-9d5f-6f0c6f1d2a3b"},
    ]
    (tmp_path / "list.json").write_text(json.dumps(proxys + wrong))
    ended = await command("accounts", "import", "--file", "list.json")
    assert ended.code == 1
    assert ended.complaint == "server: 3 of 11 accounts were refused"
    assert "canary" not in ended.out
    by_entry = {int(line.split("/")[0]): line for line in ended.lines}
    assert sorted(by_entry) == list(range(1, 12))
    for number in range(1, 9):
        assert "/11  imported  acc_" in by_entry[number]
        assert "slots 2, plan pro" in by_entry[number]
    assert "refused   TEAM_SESSION: " in by_entry[9]
    assert "refused   LOGIN_FAILED: " in by_entry[10]
    assert "refused   SESSION_EXPIRED: " in by_entry[11]
    assert len((await command("accounts", "list")).lines) == 1 + 8


async def test_a_team_administrators_cookie_is_refused_with_the_reason(
    command: Command, sandbox: Sandbox
) -> None:
    """§2.1: it looks expired, and is not."""
    login = {"email": "admin@sandbox.example", "password": "sandbox-admin", "captcha_token": ""}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        http.post(f"{sandbox.url}/api/v1/teams/users/login", json=login) as answer,
    ):
        cookie = answer.cookies["monkeycode_ai_team_session"].value
    for given in (cookie, f"monkeycode_ai_team_session={cookie}"):
        ended = await command("accounts", "import", "--cookie", "-", stdin=given)
        assert (ended.code, ended.out) == (1, "")
        assert ended.complaint.startswith("server: TEAM_SESSION: ")
        assert cookie not in ended.err


async def test_what_the_platform_refuses_is_one_line_and_for_machines_an_object(command: Command) -> None:
    for form in ((), ("--json",)):
        ended = await command("accounts", "import", "--cookie", "not-a-session", *form)
        assert ended.code == 1
        assert ended.complaint.startswith("server: SESSION_EXPIRED: ")
        refusals = [told["refusal"]["reason"] for told in ended.objects]
        assert refusals == ["SESSION_EXPIRED"] * len(form)
    away = await command(
        "accounts", "import", "--cookie", "x", env={"HOWLER_UPSTREAM_URL": "http://127.0.0.1:1"}
    )
    assert (away.code, away.out) == (1, "")
    assert away.complaint.startswith("server: UPSTREAM_UNAVAILABLE: ")


async def test_check_tells_a_session_that_is_over(command: Command, sandbox: Sandbox) -> None:
    account_id = await imported(command, FIRST)
    good = await command("accounts", "check", account_id)
    assert (good.code, good.lines[0]) == (0, f"checked {account_id}")
    assert any("may be used:" in line for line in good.lines)

    await sandbox.faults(accounts={"expire": [FIRST["email"]]})
    over = await command("accounts", "check", account_id)
    assert over.code == 1
    assert "EXPIRED (SESSION_EXPIRED)" in over.out
    assert over.complaint.startswith(f"server: {account_id} has no session that works")
    assert "accounts import --cookie -" in over.complaint

    await imported(command, SECOND)
    both = await command("accounts", "check", "--json")
    assert both.code == 1
    assert both.complaint.startswith("server: 1 of 2 accounts have no session that works")
    states = {told["entry"]: told["account"]["state"] for told in both.objects}
    assert states == {1: "ACCOUNT_STATE_EXPIRED", 2: "ACCOUNT_STATE_ACTIVE"}


async def test_check_logs_in_where_a_password_is_stored(command: Command, sandbox: Sandbox) -> None:
    """P12: by the login that a server would make."""
    listed = json.dumps([{"email": FIRST["email"], "password": FIRST["password"]}])
    assert (await command("accounts", "import", "-", stdin=listed)).code == 0
    await sandbox.faults(accounts={"expire": ["*"]})
    checked = await command("accounts", "check")
    assert (checked.code, checked.err) == (0, "")
    assert "ACTIVE" in checked.out


@pytest.mark.parametrize("name", ["check", "enable", "disable", "remove"])
async def test_an_account_that_there_is_not(command: Command, name: str) -> None:
    ended = await command("accounts", name, "acc_nobody")
    assert (ended.code, ended.out) == (1, "")
    assert "acc_nobody" in ended.complaint
    assert "accounts list" in ended.complaint


async def test_what_the_platform_need_not_know_it_is_not_asked(command: Command, sandbox: Sandbox) -> None:
    """A command looks after nothing by itself: no check and no login, though the session is over."""
    listed = json.dumps([{"email": FIRST["email"], "password": FIRST["password"]}])
    imported_one = await command("accounts", "import", "--file", "-", "--json", stdin=listed)
    account_id = imported_one.objects[0]["account"]["account_id"]
    await sandbox.faults(accounts={"expire": ["*"]})
    before = (await sandbox.state())["requests"]
    for arguments in (("list",), ("disable", account_id), ("enable", account_id)):
        assert (await command("accounts", *arguments)).code == 0
    assert (await sandbox.state())["requests"] == before


async def test_on_postgresql(command: Command, tmp_path: Path, postgres_url: str) -> None:
    """The same on PostgreSQL, with the key in var/howler.key, which it names where another is there."""
    env = {"HOWLER_DATABASE_URL": postgres_url}
    ended = await command("accounts", "import", "--cookie", "-", stdin=FIRST["cookie"], env=env)
    assert (ended.code, ended.err) == (0, "")
    key = tmp_path / "var" / "howler.key"
    assert key.stat().st_mode & 0o777 == 0o600
    rotated = await command("secrets", "rotate", env=env)
    assert (rotated.code, len(rotated.lines)) == (0, 3)
    assert (await command("accounts", "check", env=env)).code == 0
    key.rename(tmp_path / "elsewhere.key")
    lost = await command("accounts", "list", env=env)
    assert lost.code == 2
    assert "HOWLER_SECRETS_KEY_FILE (var/howler.key) does not hold the key" in lost.complaint
    assert "every replica" in lost.complaint


async def test_no_accounts_yet(command: Command) -> None:
    for name in ("list", "check"):
        ended = await command("accounts", name)
        assert (ended.code, ended.err) == (0, "")
        assert "accounts import" in ended.out
    assert (await command("accounts", "list", "--json")).out == ""


async def test_a_running_server_obeys_at_once(
    command: Command, server: AbstractAsyncContextManager[Howler]
) -> None:
    """What a command does to the database the server does, without being started anew."""
    async with server as howler:
        account_id = await imported(command, FIRST)
        await known(howler, lambda there: [one.account_id for one in there] == [account_id])
        events = await howler.turn("hello")
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        assert "hello" in text_of(events)

        assert (await command("accounts", "disable", account_id)).lines[0] == f"disabled {account_id}"
        await known(howler, lambda there: not there[0].enabled)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await howler.turn("hello again")
        assert reason_of(raised.value) == "NO_ACCOUNT"

        assert (await command("accounts", "enable", account_id)).code == 0
        await known(howler, lambda there: there[0].enabled)
        assert (await howler.turn("and again"))[-1].ended.reason == EndReason.END_REASON_COMPLETED

        removed = await command("accounts", "remove", account_id)
        assert (removed.code, removed.lines[0]) == (0, f"removed {account_id}")
        await known(howler, lambda there: not there)


async def test_removing_an_account_stops_its_tasks(
    command: Command, sandbox: Sandbox, server: AbstractAsyncContextManager[Howler]
) -> None:
    async with server as howler:
        account_id = await imported(command, FIRST)
        await known(howler, lambda there: len(there) == 1)
        await howler.turn("hello")
        (task,) = (await sandbox.state())["tasks"]
        assert (await command("accounts", "remove", account_id)).code == 0
    task = await sandbox.task(task["id"])
    assert task["status"] == "finished"
