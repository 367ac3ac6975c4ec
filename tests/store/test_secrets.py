"""Cookies and passwords in a database: sealed, bound to their row, passed from key to key without loss."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.commands.secrets import rotate
from server.pool.account import AccountId, Member
from server.store.connection import sqlite_path
from server.store.errors import SealError
from server.store.keyring import GivenKeys, KeyFile, KeyRing
from server.store.open import AnyStore, store_at
from server.store.seal import Key
from tests.support.keys import KEYS, ring

COOKIE, PASSWORD = "canary-cookie-7f3a", "canary-password-7f3a"
FIRST, SECOND = AccountId("acc_1"), AccountId("acc_2")
KNOWN = [
    Member(FIRST, email="ann@example.com", cookie=COOKIE, password=PASSWORD),
    Member(SECOND, email="bob@example.com", cookie="another-cookie"),
]


Opener = Callable[[KeyRing], AnyStore]


@pytest.fixture
def open_store(url: str) -> Opener:
    return lambda keys: store_at(url, keys)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "howler.key")


async def kept(url: str) -> bytes:
    """Return what a thief of the database would have: SQLite's files, or PostgreSQL's rows."""
    if url.startswith("sqlite"):
        folder = sqlite_path(url).parent
        return b"".join(part.read_bytes() for part in folder.glob("howler.db*") if part.is_file())
    rows = await queried(url, "SELECT account::text AS row FROM account UNION SELECT meta::text FROM meta")
    return "\n".join(row["row"] for row in rows).encode()


async def queried(url: str, statement: str) -> list[Any]:
    """Carry out a statement behind Howler's back."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as database:
            return database.execute(statement).fetchall()
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


async def members(store: AnyStore) -> list[Member]:
    """Return the accounts, as they were recorded."""
    return [replace(member, version=0) for member in (await store.books()).members]


async def fill(store: AnyStore) -> None:
    for member in KNOWN:
        assert await store.add_account(member)


async def test_secrets_come_back_and_stand_nowhere(url: str, open_store: Opener) -> None:
    async with open_store(ring()) as store:
        await fill(store)
        assert await members(store) == KNOWN
        assert b"ann@example.com" in await kept(url), "these are the right files"
        assert b"canary" not in await kept(url)
        (member, _) = (await store.books()).members
        assert await store.put_account(replace(member, cookie="canary-newer", password=""))
        assert b"canary" not in await kept(url)
    async with open_store(ring()) as store:
        (first, second) = await members(store)
    assert (first.cookie, first.password) == ("canary-newer", "")
    assert second == KNOWN[1]
    assert b"canary" not in await kept(url)


async def test_a_wrong_key_does_not_open_the_database(open_store: Opener) -> None:
    async with open_store(ring(KEYS[0])) as store:
        await fill(store)
    with pytest.raises(SealError, match=r"^HOWLER_SECRETS_KEY does not hold the key"):
        async with open_store(ring(KEYS[1])):
            pass
    async with open_store(ring(KEYS[1], KEYS[0])) as store:
        assert await members(store) == KNOWN


async def test_stores_that_begin_at_once_agree_on_a_key(open_store: Opener, file: KeyFile) -> None:
    async with open_store(KeyRing(file)) as one, open_store(KeyRing(file)) as other:
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
async def test_rows_that_somebody_wrote_by_hand(url: str, open_store: Opener, harm: str) -> None:
    async with open_store(ring()) as store:
        await fill(store)
    await queried(url, harm)
    async with open_store(ring()) as store:
        with pytest.raises(SealError) as raised:
            await store.books()
    assert "canary" not in str(raised.value)


async def test_a_rotation_goes_on_beside_who_reads_and_writes(open_store: Opener, file: KeyFile) -> None:
    """A server that knows the old key alone seals nothing with it once another process has dropped it."""
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


async def test_nothing_is_sealed_with_a_key_that_is_being_dropped(open_store: Opener, file: KeyFile) -> None:
    """Servers write as fast as they can while the key is rotated again and again; all of it opens after."""
    written = 0

    async def write(store: AnyStore, account_id: AccountId) -> None:
        nonlocal written
        while True:
            (member,) = (await store.books({account_id})).members
            assert await store.put_account(replace(member, cookie=f"cookie-{written}"))
            written += 1

    async with open_store(KeyRing(file)) as one, open_store(KeyRing(file)) as two:
        await fill(one)
        writers = [asyncio.create_task(write(one, FIRST)), asyncio.create_task(write(two, SECOND))]
        for _ in range(5):
            before = written
            async with open_store(KeyRing(file)) as operator:
                async for _ in rotate(operator, file):
                    pass
            while written < before + 10:
                await asyncio.sleep(0.001)
                assert not any(writer.done() for writer in writers), await asyncio.gather(*writers)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    async with open_store(KeyRing(file)) as store:
        assert all(member.cookie.startswith("cookie-") for member in await members(store))


@pytest.mark.parametrize("done", [0, 1, 2, 3])
async def test_a_rotation_that_is_cut_short_loses_nothing(
    open_store: Opener, file: KeyFile, done: int
) -> None:
    """I12: whatever was done, the file opens everything, and the next rotation finishes."""
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
