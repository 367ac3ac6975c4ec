"""Stores to test: of each kind, empty, with one replica on it or two."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from server.store.open import AnyStore
from tests.store.records import ANN, BOB, member, opened


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/howler.db"
    named: str = request.getfixturevalue("postgres_url")
    return named


@pytest.fixture
async def replicas(url: str) -> AsyncIterator[Callable[[], AnyStore]]:
    """Give the two replicas that are open, one per call; then begin anew."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(url)) for _ in range(2)]
        for account_id in (ANN, BOB):
            assert await stores[0].add_account(member(account_id))
        turn = iter(range(1000))
        yield lambda: stores[next(turn) % 2]


@pytest.fixture
def store(replicas: Callable[[], AnyStore]) -> AnyStore:
    """Give one replica of a database with two accounts of three slots."""
    return replicas()


@pytest.fixture
def other(replicas: Callable[[], AnyStore], store: AnyStore) -> AnyStore:
    """Give the other replica."""
    return replicas()
