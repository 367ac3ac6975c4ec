"""The command line: what it takes, what it says of the rest, and that help warns of arguments."""

import pytest

from server.commands.orders import (
    Check,
    Disable,
    Enable,
    Import,
    List,
    Order,
    Remove,
    Rotate,
    Serve,
    read_order,
)
from server.pool.account import AccountId

ONE = AccountId("acc_1")


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("", Order(Serve())),
        ("serve", Order(Serve())),
        ("accounts import --cookie abc", Order(Import(cookie="abc"))),
        ("accounts import --cookie - --slots 3", Order(Import(cookie="-", slots=3))),
        ("accounts import --file a.json", Order(Import(file="a.json"))),
        ("accounts import -", Order(Import(stdin=True))),
        ("accounts import - --json", Order(Import(stdin=True), json=True)),
        ("accounts list", Order(List())),
        ("accounts list --json", Order(List(), json=True)),
        ("accounts check", Order(Check(None))),
        ("accounts check acc_1", Order(Check(ONE))),
        ("accounts enable acc_1", Order(Enable(ONE))),
        ("accounts disable acc_1", Order(Disable(ONE))),
        ("accounts remove acc_1", Order(Remove(ONE))),
        ("secrets rotate", Order(Rotate())),
    ],
)
def test_what_is_meant(line: str, order: Order) -> None:
    assert read_order(line.split()) == order


@pytest.mark.parametrize(
    "line",
    [
        "begin",
        "accounts",
        "accounts import",
        "accounts import canary",
        "accounts import --cookie canary --file a.json",
        "accounts import - --cookie canary",
        "accounts import --cookie my canary",
        "accounts import --cookie my - canary",
        "accounts import --cookie canary --slots 0",
        "accounts import --cookie canary --slots 1001",
        "accounts import --file a.json --slots 2",
        "accounts remove",
        "accounts rename acc_1",
        "secrets",
        "secrets show",
    ],
)
def test_what_cannot_be_meant(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        read_order(line.split())
    assert raised.value.code == 2
    said = capsys.readouterr()
    assert not said.out
    assert "python -m server" in said.err
    assert "canary" not in said.err


def test_help_says_that_arguments_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        read_order(["accounts", "import", "--help"])
    assert raised.value.code == 0
    assert "can see the arguments of its processes" in " ".join(capsys.readouterr().out.split())


def test_an_order_does_not_show_its_cookie() -> None:
    assert "canary" not in repr(Order(Import(cookie="canary")))
