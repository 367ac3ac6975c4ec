"""What the end-to-end tests share: a folder for each module's programs."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's programs keep what they keep."""
    return tmp_path_factory.mktemp("howler")
