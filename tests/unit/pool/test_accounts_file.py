"""HOWLER_ACCOUNTS_FILE: what it takes, and one clear line for every mistake."""

import json
from pathlib import Path

import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import Credentials, masked, parse_cookie
from server.pool.accounts_file import AccountsFileError, parse_accounts, read_accounts


def test_the_proxys_list_is_taken(tmp_path: Path) -> None:
    """P12: email, password, mode and cookie as the TypeScript proxy has them, plus slots."""
    path = tmp_path / "accounts.json"
    path.write_text(
        json.dumps(
            [
                {"email": "a@b.c", "password": "x", "mode": "user", "cookie": None, "slots": 3},
                {"cookie": "monkeycode_ai_session=abc;"},
            ]
        )
    )
    assert read_accounts(path) == [
        Credentials(email="a@b.c", password="x", slots=3),
        Credentials(cookie="abc"),
    ]


def test_the_sandboxs_accounts_are_taken() -> None:
    accounts = read_accounts(Path(__file__).parents[3] / "sandbox" / "accounts.json")
    assert [account.slots for account in accounts] == [8] * 8


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ('{"email": "a"}', "must hold a list"),
        ("[1]", "entry 1: must be an object"),
        ('[{"cookie": "a"}, {"passwrod": "canary"}]', "entry 2.*unknown field `passwrod`"),
        ('[{"cookie": 5}]', "entry 1.*Expected `str`, got `int`.*cookie"),
        ('[{"cookie": "a", "slots": -1}]', "entry 1.*slots"),
        ('[{"email": "a@b.c"}]', "entry 1: an account needs a cookie, or an e-mail with a password"),
        ('[{"password": "canary", "cookie": "a"}]', "entry 1: a password needs its e-mail"),
        ('[{"cookie": "can ary"}]', "entry 1: cookie: not the value of one monkeycode_ai_session cookie"),
        ('[{"cookie": "a", "mode": "team"}]', "entry 1: mode team is a team administrator's session"),
        ('[{"cookie": "a", "mode": "canary"}]', "entry 1: mode must be user"),
        ('[{"cookie": "monkeycode_ai_team_session=canary"}]', "entry 1: .*cannot run tasks"),
        (
            '[{"email": "A@b.c", "password": "x"}, {"email": "a@B.c", "password": "x"}]',
            "entry 2: the e-mail of entry 1 again",
        ),
        ("[" * 5000, "is not JSON"),
        ('["\ud800"]', "is not JSON"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "accounts.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(AccountsFileError, match=complaint) as caught:
        read_accounts(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "canary" not in message


def test_a_list_is_read_entry_by_entry() -> None:
    """P12: one that is refused stops no other, and a team administrator's is told as such."""
    text = json.dumps(
        [
            {"email": "a@b.c", "password": "x", "mode": "user"},
            {"email": "t@b.c", "password": "x", "mode": "team"},
            {"cookie": "monkeycode_ai_team_session=canary"},
            {"email": "A@b.c", "password": "canary"},
            {"cookie": "y", "slots": 1001},
            {"cookie": "z", "slots": 1000},
        ]
    )
    first, *refused, last = parse_accounts(text)
    assert first == Credentials(email="a@b.c", password="x")
    assert last == Credentials(cookie="z", slots=1000)
    team, invalid = ErrorReason.ERROR_REASON_TEAM_SESSION, ErrorReason.ERROR_REASON_INVALID_REQUEST
    reasons = [one.reason if isinstance(one, ServiceError) else None for one in refused]
    assert reasons == [team, team, invalid, invalid]
    assert "canary" not in repr(refused)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AccountsFileError, match=r"none\.json cannot be read: No such file"):
        read_accounts(tmp_path / "none.json")


@pytest.mark.parametrize("text", ["a\r\nSet-Cookie: b", "a;b", "a b", "é", "a\x00", '"a"', "x" * 5000])
def test_what_cannot_be_a_cookie_is_refused(text: str) -> None:
    """T-I7: nothing that reaches a header carries CR, LF, NUL or a separator."""
    with pytest.raises(ServiceError) as caught:
        parse_cookie(text)
    assert caught.value.reason == ErrorReason.ERROR_REASON_INVALID_REQUEST
    assert text not in caught.value.message


@pytest.mark.parametrize(
    ("email", "shown"),
    [("ann@example.com", "a•••@example.com"), ("", ""), ("ann", "•••"), ("@x", "•••@x"), ("a@b@c", "a•••@c")],
)
def test_masking(email: str, shown: str) -> None:
    assert masked(email) == shown
