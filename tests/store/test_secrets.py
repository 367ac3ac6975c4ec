"""Cookies and passwords in a database: sealed, bound to their row, passed from key to key without loss."""

import sqlite3
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from server.commands.secrets import rotate
from server.pool.account import AccountId, Member
from server.store.errors import SealError
from server.store.keyring import GivenKeys, KeyFile, KeyRing
from server.store.seal import Key
from server.store.sqlite import Store
from tests.support.keys import KEYS, ring

COOKIE, PASSWORD = "canary-cookie-7f3a", "canary-password-7f3a"
FIRST, SECOND = AccountId("acc_1"), AccountId("acc_2")
KNOWN = [
    Member(FIRST, email="ann@example.com", cookie=COOKIE, password=PASSWORD),
    Member(SECOND, email="bob@example.com", cookie="another-cookie"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "howler.db"


@pytest.fixture
def open_store(path: Path) -> Callable[[KeyRing], Store]:
    return lambda keys: Store(f"sqlite:///{path}", keys)


Opener = Callable[[KeyRing], Store]


def bytes_of(path: Path) -> bytes:
    """Return what SQLite has on the disk: the database and what is not in it yet."""
    return b"".join(part.read_bytes() for part in path.parent.glob(f"{path.name}*") if part.is_file())


async def members(store: Store) -> list[Member]:
    """Return the accounts, as they were recorded."""
    return [replace(member, version=0) for member in (await store.books()).members]


async def fill(store: Store) -> None:
    for member in KNOWN:
        assert await store.add_account(member)


async def test_secrets_come_back_and_stand_nowhere(path: Path, open_store: Opener) -> None:
    async with open_store(ring()) as store:
        await fill(store)
        assert await members(store) == KNOWN
        assert b"ann@example.com" in bytes_of(path), "these are the right files"
        assert b"canary" not in bytes_of(path)
        (member, _) = (await store.books()).members
        assert await store.put_account(replace(member, cookie="canary-newer", password=""))
        assert b"canary" not in bytes_of(path)
    async with open_store(ring()) as store:
        (first, second) = await members(store)
    assert (first.cookie, first.password) == ("canary-newer", "")
    assert second == KNOWN[1]
    assert b"canary" not in bytes_of(path)


async def test_a_wrong_key_does_not_open_the_database(open_store: Opener) -> None:
    async with open_store(ring(KEYS[0])) as store:
        await fill(store)
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY does not hold the key"):
        async with open_store(ring(KEYS[1])):
            pass
    async with open_store(ring(KEYS[1], KEYS[0])) as store:
        assert await members(store) == KNOWN


async def test_stores_that_begin_at_once_agree_on_a_key(path: Path, open_store: Opener) -> None:
    file = path.with_suffix(".key")
    async with open_store(KeyRing(KeyFile(file))) as one, open_store(KeyRing(KeyFile(file))) as other:
        await fill(one)
        assert await members(other) == KNOWN


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE account SET cookie = (SELECT cookie FROM account WHERE account_id = 'acc_2')",
        "UPDATE account SET cookie = password WHERE account_id = 'acc_1'",
        "UPDATE account SET cookie = 'in plain' WHERE account_id = 'acc_1'",
        "UPDATE account SET cookie = substr(cookie, 1, length(cookie) - 8) || 'AAAAAAA='",
        "UPDATE account SET account_id = 'acc_3' WHERE account_id = 'acc_1'",
    ],
)
async def test_rows_that_somebody_wrote_by_hand(path: Path, open_store: Opener, harm: str) -> None:
    async with open_store(ring()) as store:
        await fill(store)
    database = sqlite3.connect(path)
    database.execute(harm)
    database.commit()
    database.close()
    async with open_store(ring()) as store:
        with pytest.raises(SealError) as raised:
            await store.books()
    assert "canary" not in str(raised.value)


async def test_a_rotation_goes_on_beside_who_reads_and_writes(path: Path, open_store: Opener) -> None:
    """A server that knows the old key alone seals nothing with it once another process has dropped it."""
    file = KeyFile(path.with_suffix(".key"))
    async with open_store(KeyRing(file)) as server:
        await fill(server)
        (old,) = file.read()
        async with open_store(KeyRing(file)) as operator:
            steps = [step async for step in rotate(operator, file)]
        (new,) = file.read()
        assert new != old
        assert [step.partition("  ")[2] for step in steps] == [
            f"key {new.id} is in {file.where}",
            "2 accounts sealed with it",
            f"key {old.id} is dropped",
        ]
        assert await members(server) == KNOWN
        (member, _) = (await server.books()).members
        assert await server.put_account(replace(member, cookie="newer"))
        assert await server.add_account(Member(AccountId("acc_3"), cookie="third"))
    async with open_store(KeyRing(file)) as store:
        assert [member.cookie for member in await members(store)] == ["newer", "another-cookie", "third"]


@pytest.mark.parametrize("done", [0, 1, 2, 3])
async def test_a_rotation_that_is_cut_short_loses_nothing(path: Path, open_store: Opener, done: int) -> None:
    """I12: whatever was done, the file opens everything, and the next rotation finishes."""
    file = KeyFile(path.with_suffix(".key"))
    async with open_store(KeyRing(file)) as store:
        await fill(store)
        (old,) = file.read()
        async with aclosing(rotate(store, file)) as steps:
            for _ in range(done):
                await anext(steps)
    async with open_store(KeyRing(file)) as store:
        assert await members(store) == KNOWN
        first = file.read()[0]
        assert [step[:3] async for step in rotate(store, file)] == ["1/3", "2/3", "3/3"]
        (new,) = file.read()
        assert new != old
        assert (new == first) == (done == 1), "what was begun is finished, not begun anew"
        assert await store.sealing_key() == new.id
    async with open_store(KeyRing(file)) as store:
        assert await members(store) == KNOWN


async def test_keys_of_the_setting_are_passed_on_by_hand(open_store: Opener) -> None:
    """Every replica gets both keys, then one rotates, then every replica gets the new one alone."""
    async with open_store(ring(KEYS[0])) as store:
        await fill(store)
        with pytest.raises(SealError, match="put a new one before it"):
            _ = [step async for step in rotate(store, GivenKeys(KEYS[0]))]
    both = ",".join((KEYS[1], KEYS[0]))
    async with open_store(KeyRing(GivenKeys(both))) as store:
        (told,) = [step async for step in rotate(store, GivenKeys(both))]
        assert told.startswith(f"2 accounts sealed with key {Key.parse(KEYS[1]).id}")
    async with open_store(ring(KEYS[1])) as store:
        assert await members(store) == KNOWN


async def test_a_server_with_a_setting_that_was_not_told_of_the_new_key(open_store: Opener) -> None:
    """It says so rather than seal with a key that will be dropped; what it has read it keeps."""
    async with open_store(ring(KEYS[0])) as server:
        await fill(server)
        (member, _) = (await server.books()).members
        async with open_store(ring(KEYS[0], KEYS[1])) as operator:
            await operator.reseal(Key.parse(KEYS[1]))
        for call in (
            server.books(),
            server.put_account(member),
            server.add_account(Member(AccountId("acc_3"))),
        ):
            with pytest.raises(SealError, match="every replica needs the one that sealed it"):
                await call
