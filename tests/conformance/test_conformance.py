"""Issue 6, conformance as data: every case of cases/, in all its forms, against Howler and its sandbox.

What is expected is rewritten only with HOWLER_TEST_REWRITE_GOLDENS=1, and read by a person before it is
committed.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.case import Case, case_names, known_failures, read_case
from tests.conformance.run import ask_case, expected, faults, rewrite
from tests.support.howler import Howler

KNOWN = known_failures()


class Gateways:
    """A gateway for each set of settings that the cases ask for, started when it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()
        self._running: dict[str, Howler] = {}

    async def for_case(self, case: Case) -> str:
        """Return the base URL of one with the settings of the case."""
        key = repr(sorted(case.settings.items()))
        if key not in self._running:
            folder = self._folder / str(len(self._running))
            folder.mkdir()
            howler = await self._stack.enter_async_context(Howler(folder, env=case.settings))
            # A turn that was over before its stream was attached to is a replay, which moves text past plans.
            await howler.sandbox.faults(platform={"fold": False})
            self._running[key] = howler
        return self._running[key].facade.address

    async def close(self) -> None:
        """End them."""
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateways(folder: Path) -> AsyncIterator[Gateways]:
    started = Gateways(folder)
    yield started
    await started.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", case_names())
async def test_a_case(gateways: Gateways, name: str) -> None:
    case = read_case(name)
    seen = await ask_case(await gateways.for_case(case), case)
    if os.environ.get("HOWLER_TEST_REWRITE_GOLDENS") == "1":
        rewrite(name, seen)
    wrong = faults(name, seen)
    assert {where: why for where, why in wrong.items() if where not in KNOWN} == {}
    passing = {where for where in KNOWN if where.startswith(f"{name}/")} - wrong.keys()
    assert not passing, "take them out of known_failures.txt"


def test_every_case_is_expected_and_every_known_failure_is_a_case() -> None:
    forms = {f"{name}/{form}" for name in case_names() for form in read_case(name).forms}
    assert {f"{name}/{form}" for name in case_names() for form in expected(name)} == forms
    assert KNOWN.keys() <= forms
    assert len(forms) >= 100
