"""A Howler for each module, and clients of its facade. A module that needs another one has its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio

from tests.support.front import Front
from tests.support.howler import Howler


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[Howler]:
    """A gateway in front of a sandbox; for test_grpc_… without a facade."""
    async with Howler(folder, facade=not request.path.name.startswith("test_grpc_")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(howler: Howler) -> AsyncIterator[Front]:
    """The facade, asked by plain HTTP."""
    async with Front(howler.facade.address) as asking:
        yield asking


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(howler: Howler) -> AsyncIterator[openai.AsyncOpenAI]:
    """The official client."""
    async with howler.openai() as asking:
        yield asking
