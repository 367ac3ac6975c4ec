"""What commands tell: the same facts to people and to machines, and no more than was found."""

import json
from datetime import UTC, datetime

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model
from howler.pool.v1.cooldown_pb2 import Cooldown
from howler.pool.v1.pool_service_pb2 import Account, AccountState

from server.commands.findings import Findings
from server.commands.json_lines import JsonLines
from server.commands.lines import Lines
from server.commands.report import Report
from server.errors import ServiceError
from server.upstream.platform import Subscription, Wallet

ACCOUNT = Account(
    account_id="acc_1",
    email="a•••@example.com",
    name="Ann",
    state=AccountState.ACCOUNT_STATE_ACTIVE,
    enabled=True,
    slots=3,
    slots_used=1,
)
MODELS = (
    Model(id="monkeycode/OpenAI/gpt-x", model="gpt-x"),
    Model(id="monkeycode/MC/monkeycode-ultra-1", model="monkeycode-ultra-1"),
)
FOUND = Findings(
    Subscription("pro", datetime(2026, 5, 1, tzinfo=UTC), auto_renew=True),
    Wallet(100.5, 7, 5_000_000),
    MODELS,
)
SILENT = Findings(None, None, ())
LOST = ServiceError(ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "the platform is not well")
MUTE = Findings(LOST, LOST, LOST)
TEAM = Report("refused", refusal=ServiceError(ErrorReason.ERROR_REASON_TEAM_SESSION, "a team's session"))


def test_all_of_an_account() -> None:
    assert list(Lines().whole(Report("imported", ACCOUNT, FOUND))) == [
        "imported acc_1",
        "  user     Ann <a•••@example.com>",
        "  state    ACTIVE",
        "  plan     pro, until 2026-05-01, renews itself",
        "  slots    1 of 3 in use; its plan usually allows 3 tasks at a time",
        "  balance  100.50; 7 of 5,000,000 tokens left today",
        "  models   1 of 2 may be used:",
        "           monkeycode/OpenAI/gpt-x",
        "           monkeycode/MC/monkeycode-ultra-1 (needs the plan ultra)",
    ]


def test_an_account_of_a_platform_that_tells_nothing() -> None:
    assert list(Lines().whole(Report("imported", ACCOUNT, SILENT)))[3:] == [
        "  plan     the platform does not tell",
        "  slots    1 of 3 in use; how many tasks the platform allows at a time is not told",
        "  balance  the platform does not tell",
        "  models   0 of 0 may be used:",
    ]


def test_an_account_of_which_the_platform_would_not_speak() -> None:
    assert list(Lines().whole(Report("imported", ACCOUNT, MUTE)))[3:] == [
        "  plan     not told: the platform is not well",
        "  slots    1 of 3 in use; how many tasks the platform allows at a time is not told",
        "  balance  not told: the platform is not well",
        "  models   not told: the platform is not well",
    ]


def test_more_slots_than_the_plan_gives() -> None:
    found = Findings(Subscription("basic"), None, ())
    assert any(
        "import it again with --slots 1" in line for line in Lines().whole(Report("x", ACCOUNT, found))
    )


def test_an_account_that_was_not_asked_about() -> None:
    account = Account(account_id="acc_1", state=AccountState.ACCOUNT_STATE_EXPIRED, slots=1)
    account.state_reason = "SESSION_EXPIRED"
    account.session_expire_time.FromJsonString("2026-05-01T10:00:00Z")
    assert list(Lines().whole(Report("disabled", account))) == [
        "disabled acc_1",
        "  user     -",
        "  state    EXPIRED (SESSION_EXPIRED), disabled",
        "  session  ends by 2026-05-01",
        "  slots    0 of 1 in use",
    ]


def test_entries_of_a_list() -> None:
    lines = Lines()
    assert lines.entry(7, 20, Report("imported", ACCOUNT, FOUND)) == (
        " 7/20  imported  acc_1  a•••@example.com, ACTIVE, slots 3, plan pro, 1 of 2 models, balance 100.50"
    )
    assert lines.entry(8, 20, TEAM) == " 8/20  refused   TEAM_SESSION: a team's session"
    assert lines.entry(9, 9, Report("renewed", ACCOUNT)) == (
        "9/9  renewed   acc_1  a•••@example.com, ACTIVE, slots 3"
    )


def test_a_table_of_accounts() -> None:
    cooling = Account(account_id="acc_2", state=AccountState.ACCOUNT_STATE_CREATED, slots=1, slots_closed=1)
    cooling.cooldowns.append(Cooldown(reason="QUOTA_EXHAUSTED"))
    cooling.cooldowns[0].until_time.FromJsonString("2026-05-01T10:15:00Z")
    cooling.last_used_time.FromJsonString("2026-05-01T10:00:00Z")
    head, first, second = Lines().table([ACCOUNT, cooling])
    assert head.split() == ["ID", "E-MAIL", "NAME", "STATE", "SLOTS", "LAST", "USED"]
    assert first.index("ACTIVE") == second.index("CREATED") == head.index("STATE")
    assert first.endswith("never")
    assert second.endswith(
        "2026-05-01 10:00Z  disabled, cooling until 2026-05-01 10:15Z (QUOTA_EXHAUSTED), "
        "1 of its slots closed for a moment"
    )
    (nothing,) = Lines().table([])
    assert "accounts import" in nothing


def test_a_single_refusal_is_for_stderr_alone() -> None:
    assert list(Lines().whole(TEAM)) == []


@pytest.mark.parametrize("found", [FOUND, SILENT, MUTE, None])
def test_machines_are_told_one_object_per_line(found: Findings | None) -> None:
    form = JsonLines()
    (whole,) = form.whole(Report("imported", ACCOUNT, found))
    entry = form.entry(7, 20, Report("imported", ACCOUNT, found))
    assert "\n" not in whole + entry
    assert json.loads(entry) == {"entry": 7, **json.loads(whole)}
    assert json.loads(whole)["account"]["state"] == "ACCOUNT_STATE_ACTIVE"


def test_machines_are_told_what_was_found() -> None:
    (line,) = JsonLines().whole(Report("imported", ACCOUNT, FOUND))
    assert json.loads(line)["findings"] == {
        "subscription": {"plan": "pro", "expires_at": "2026-05-01T00:00:00+00:00", "auto_renew": True},
        "wallet": {"balance": 100.5, "daily_tokens": 7, "daily_limit": 5_000_000},
        "usual_tasks_at_a_time": 3,
        "models": ["monkeycode/OpenAI/gpt-x"],
        "models_beyond_plan": ["monkeycode/MC/monkeycode-ultra-1"],
    }
    (line,) = JsonLines().whole(Report("imported", ACCOUNT, SILENT))
    assert json.loads(line)["findings"]["wallet"] is None
    (line,) = JsonLines().whole(Report("imported", ACCOUNT, MUTE))
    assert json.loads(line)["findings"]["models"]["reason"] == "UPSTREAM_UNAVAILABLE"


def test_machines_are_told_a_refusal() -> None:
    (line,) = JsonLines().whole(TEAM)
    refusal = {"reason": "TEAM_SESSION", "message": "a team's session"}
    assert json.loads(line) == {"outcome": "refused", "refusal": refusal}
