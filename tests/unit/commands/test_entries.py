"""What `accounts import` is given, read from where it comes from."""

import io
import json
import sys
from pathlib import Path

import pytest

from server.commands.entries import Entry, InputError, read_entries
from server.commands.orders import Import
from server.errors import ServiceError, reason_name
from server.pool.account import Credentials

LIST = [
    {"email": "ann@example.com", "password": "canary", "mode": "user", "slots": 2},
    {"email": "admin@example.com", "password": "canary", "mode": "team"},
]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> "Typed":
    return Typed(monkeypatch)


class Typed:
    """Puts bytes on stdin."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, given: bytes) -> None:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))


def told(entries: list[Entry]) -> list[object]:
    return [reason_name(entry.reason) if isinstance(entry, ServiceError) else entry for entry in entries]


@pytest.mark.parametrize(
    "cookie", ["abc", " abc\n", "monkeycode_ai_session=abc", "monkeycode_ai_session=abc;"]
)
def test_a_cookie_from_an_argument_or_from_stdin(typed: Typed, cookie: str) -> None:
    expected: list[object] = [Credentials(cookie="abc", slots=3)]
    assert told(read_entries(Import(cookie=cookie, slots=3))) == expected
    typed(cookie.encode())
    assert told(read_entries(Import(cookie="-", slots=3))) == expected
    typed(cookie.encode())
    assert told(read_entries(Import(stdin=True, slots=3))) == expected


def test_a_list_from_a_file_or_from_stdin(typed: Typed, tmp_path: Path) -> None:
    """P12.1: the TypeScript proxy's list; a team's account is refused and stops no other."""
    expected = [Credentials("ann@example.com", "canary", "", 2), "TEAM_SESSION"]
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps(LIST))
    assert told(read_entries(Import(file=str(file)))) == expected
    for order in (Import(file="-"), Import(stdin=True)):
        typed(b"\n " + json.dumps(LIST).encode())
        assert told(read_entries(order)) == expected


def test_a_team_administrators_cookie_is_an_entry_that_is_refused() -> None:
    assert told(read_entries(Import(cookie="monkeycode_ai_team_session=abc"))) == ["TEAM_SESSION"]


@pytest.mark.parametrize("given", [b"", b"\n"])
def test_an_empty_stdin(typed: Typed, given: bytes) -> None:
    typed(given)
    assert told(read_entries(Import(stdin=True))) == ["INVALID_REQUEST"]


@pytest.mark.parametrize(
    ("order", "given"),
    [
        (Import(file="-"), b"canary"),
        (Import(file="-"), b'{"cookie": "canary"}'),
        (Import(file="-"), b"\xff"),
        (Import(stdin=True), b"[canary"),
        (Import(cookie="-"), b"\xffcanary"),
        (Import(file="nowhere.json"), b""),
        (Import(file="/proc"), b""),
        (Import(stdin=True), b"x" * ((8 << 20) + 1)),
    ],
)
def test_what_cannot_be_read_is_one_line(typed: Typed, order: Import, given: bytes) -> None:
    typed(given)
    with pytest.raises(InputError) as raised:
        read_entries(order)
    assert "canary" not in str(raised.value)
    assert "\n" not in str(raised.value)
