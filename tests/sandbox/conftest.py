"""One sandbox for all tests that order no faults, one process for the whole run."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.sandbox import ROOT, Caller, sandbox_environ


@pytest.fixture(scope="session")
def shared_url() -> Iterator[str]:
    """The address of a sandbox that boots fast and pings often."""
    environ = sandbox_environ(HOWLER_SANDBOX_PING_S="0.1", HOWLER_SANDBOX_QUESTION_S="0.5")
    command = [sys.executable, "-m", "sandbox"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield line.split("serving ")[1].strip()
        process.terminate()
        assert process.wait(20) == 0


@pytest.fixture
async def caller(shared_url: str) -> AsyncIterator[Caller]:
    """The first account."""
    async with Caller(shared_url) as one:
        yield one


@pytest.fixture
async def other(shared_url: str) -> AsyncIterator[Caller]:
    """The second account."""
    async with Caller(shared_url, 1) as one:
        yield one
