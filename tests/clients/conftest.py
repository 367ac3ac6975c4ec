"""A gateway for the clients, with a recorder in front of its facade."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.client import CLIENTS, HERE, Client
from tests.support.howler import Howler
from tests.support.recorder import Recorder


def known_failures() -> dict[str, str]:
    """Return which cases are known to fail, and why: `known_failures.txt`."""
    lines = (HERE / "known_failures.txt").read_text("utf-8").splitlines()
    cases = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {case.strip(): why for case, _, why in cases}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is known to fail; one that passes all the same must leave the list."""
    failures = known_failures()
    for item in items:
        if why := failures.get(item.name):
            item.add_marker(pytest.mark.xfail(reason=why, strict=True))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def recorder(howler: Howler) -> AsyncIterator[Recorder]:
    async with Recorder(howler.facade.address) as recording:
        yield recording


@pytest.fixture(params=CLIENTS, ids=[client.name for client in CLIENTS])
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    return chosen
