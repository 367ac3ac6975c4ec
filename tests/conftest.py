"""Fixtures that every test may use."""

from collections.abc import AsyncIterator

import pytest

from tests.support.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox of its own for one test."""
    async with Sandbox() as running:
        yield running
