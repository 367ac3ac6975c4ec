"""Fixtures that every test may use; which tests come first, and what they counted."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.child import Nursery
from tests.support.postgres import Postgres, running
from tests.support.sandbox import Sandbox

HERE = Path(__file__).parent
WAITING = ("replicas", "e2e")
"""The rooms whose tests take longest, for they wait: begun last, one of them would be waited for alone."""


# Of any property `make test` tries the same examples each time, and as many as it has time for.
settings.register_profile(
    "quick", derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("full", settings.get_profile("quick"), derandomize=False, max_examples=2000)
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that wait begin first."""
    items.sort(key=lambda item: (*WAITING, room := item.path.relative_to(HERE).parts[0]).index(room))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted, with `record_property("counted", …)`, in whichever process they ran."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, told in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(told)


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
    """The PostgreSQL of this run; what it has written need outlive it alone, not the machine."""
    with running("fsync = off", "full_page_writes = off") as server:
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
