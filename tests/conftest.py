"""Fixtures that every test may use."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.child import Nursery
from tests.support.postgres import Postgres, running
from tests.support.sandbox import Sandbox


@pytest.fixture(scope="session", autouse=True)
def nurseries() -> Iterator[None]:
    """End the processes that fork Howler's programs when the run does."""
    yield
    Nursery.close_all()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox of its own for one test."""
    async with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's programs keep what they keep."""
    return tmp_path_factory.mktemp("howler")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of this run."""
    with running() as server:
        yield server


@pytest.fixture
def own_postgres(postgres: Postgres) -> Postgres:
    """The PostgreSQL of this run, for tests that crash it, change its rules or need its socket."""
    if not postgres.ours:
        pytest.skip("this PostgreSQL is not ours")
    return postgres


@pytest.fixture
async def postgres_url(postgres: Postgres) -> AsyncIterator[str]:
    """An empty database of its own for one test."""
    async with postgres.database() as url:
        yield url
