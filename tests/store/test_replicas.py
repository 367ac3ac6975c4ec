"""SQLite's own way to many processes: locks that prove a death, sockets that wake."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from server.pool.account import AccountId
from server.store.replicas import Replicas

ANN, BOB = AccountId("ann"), AccountId("bob")
Open = Callable[[], tuple[Replicas, list[frozenset[AccountId] | None]]]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Return what opens another replica of one database, with the list of what it is told."""
    with ExitStack() as stack:

        def another() -> tuple[Replicas, list[frozenset[AccountId] | None]]:
            told: list[frozenset[AccountId] | None] = []
            replica = Replicas(tmp_path / "howler.db", told.append, lambda: told.append(frozenset({BOB})))
            replica.open()
            stack.callback(replica.close)
            return replica, told

        yield another


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


async def test_all_others_are_told(opened: Open) -> None:
    (one, told_one), (_, told_two), (_, told_three) = opened(), opened(), opened()
    one.tell(frozenset({ANN, BOB}))
    await until(lambda: bool(told_two and told_three))
    assert told_two == told_three == [frozenset({ANN, BOB})]
    assert told_one == []


async def test_a_folder_of_any_length_will_do(tmp_path: Path) -> None:
    """The path of a Unix socket has at most 107 bytes."""
    folder = tmp_path / ("long" * 50)
    folder.mkdir()
    told: list[frozenset[AccountId] | None] = []
    one = Replicas(folder / "howler.db", told.append, lambda: None)
    two = Replicas(folder / "howler.db", told.append, lambda: None)
    for replica in (one, two):
        replica.open()
    one.tell(frozenset({ANN}))
    await until(lambda: told == [frozenset({ANN})])
    for replica in (one, two):
        replica.close()
    assert list((folder / "howler.db.replicas").iterdir()) == []


async def test_who_does_not_read_is_told_in_the_end(opened: Open) -> None:
    """A queue of a few messages is all that the kernel keeps for a process that stands still."""
    (one, _), (two, told) = opened(), opened()
    asyncio.get_running_loop().remove_reader(two._socket)  # type: ignore[arg-type]
    accounts = [AccountId(f"acc_{number}") for number in range(2000)]
    for account_id in accounts:
        one.tell(frozenset({account_id}))
    assert one._owed, "its queue is full"
    asyncio.get_running_loop().add_reader(two._socket, two._receive)  # type: ignore[arg-type]
    await until(lambda: not one._owed)
    await asyncio.sleep(0)
    await until(lambda: frozenset(accounts) == frozenset().union(*(news or () for news in told)))


async def test_too_much_to_tell_is_told_as_anything(opened: Open) -> None:
    (one, _), (_, told) = opened(), opened()
    one.tell(frozenset(AccountId(f"acc_{number:032}") for number in range(2000)))
    await until(lambda: bool(told))
    assert told == [None]


async def test_the_living_are_not_taken_for_dead(opened: Open) -> None:
    (one, _), (two, _) = opened(), opened()
    assert not one.is_dead(two.name)
    assert not two.is_dead(one.name)


async def test_a_dead_one_is_known_by_its_lock_and_cleared_away(opened: Open, tmp_path: Path) -> None:
    (one, told), (two, _) = opened(), opened()
    assert two._lock is not None
    assert two._socket is not None
    asyncio.get_running_loop().remove_reader(two._socket)
    two._socket.close()  # as the kernel does for a process that was killed
    two._lock.close()
    two._socket = two._lock = None
    one.tell(frozenset({ANN}))
    assert told == [frozenset({BOB})], "told to see to what it held"
    assert one.is_dead(two.name)
    left = [path.name for path in (tmp_path / "howler.db.replicas").iterdir()]
    assert sorted(left) == sorted([f"{one.name}.lock", f"{one.name}.socket"])
    assert one.is_dead("1234-none")


async def test_nobody_sees_a_lock_before_it_is_locked(opened: Open, tmp_path: Path) -> None:
    seen = set[str]()
    one, _ = opened()
    watcher = os.open(tmp_path / "howler.db.replicas", os.O_RDONLY)
    try:
        for _ in range(20):
            replica, _ = opened()
            for name in os.listdir(watcher):  # noqa: PTH208 -- by the handle, as it is done there
                if name.endswith(".lock") and not one.is_dead(name.removesuffix(".lock")):
                    seen.add(name)
            assert f"{replica.name}.lock" in seen
    finally:
        os.close(watcher)
