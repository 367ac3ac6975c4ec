"""A journal on a store of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.store.open import AnyStore
from server.turn.journal import Journal
from tests.store.records import opened


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AnyStore]:
    """Open an empty store."""
    async with opened(f"sqlite:///{tmp_path}/howler.db") as made:
        yield made


@pytest.fixture
async def journal(store: AnyStore) -> AsyncIterator[Journal]:
    """Open a journal on it."""
    async with Journal(store.turns) as made:
        yield made
