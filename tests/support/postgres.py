"""A real PostgreSQL for tests: started once per run from the wheel that carries it, a database for each test.

HOWLER_TEST_POSTGRES_URL names another one to use; nothing is started then and nothing can be restarted.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.process import ROOT

OVERRIDE = "HOWLER_TEST_POSTGRES_URL"


class Postgres:
    """A running PostgreSQL. `url` is that of its own database; `host` the process that runs it, if we do."""

    def __init__(self, url: str, host: "subprocess.Popen[str] | None" = None, data: str = "") -> None:
        self.url = url
        self._host = host
        self._data = Path(data)

    @property
    def ours(self) -> bool:
        """We started it, so that it may be restarted."""
        return self._host is not None

    def restart(self) -> None:
        """Kill it as a crash does (`pg_ctl restart -m immediate`); return when it recovered. Blocks."""
        assert self._host is not None
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        self._host.stdin.write("crash\n")
        self._host.stdin.flush()
        assert self._host.stdout.readline() == "restarted\n"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """Make an empty database, give its URL, and drop it whoever is connected."""
        name = f"howler_{secrets.token_hex(6)}"
        await self._run(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        finally:
            await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @asynccontextmanager
    async def guarded(self, user: str, password: str) -> AsyncIterator[None]:
        """Add a user who needs a password, unlike all others, and may do nothing; it is gone afterwards."""
        assert self.ours
        rules = self._data / "pg_hba.conf"
        before = rules.read_text()
        await self._run(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        try:
            rules.write_text(f"local all {user} scram-sha-256\n{before}")
            await self._run("SELECT pg_reload_conf()")
            yield
        finally:
            rules.write_text(before)
            await self._run("SELECT pg_reload_conf()")
            await self._run(f"DROP ROLE {user}")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running(*settings: str) -> Iterator[Postgres]:
    """Start PostgreSQL in a folder of its own, with these settings, or use what the environment names."""
    if named := os.environ.get(OVERRIDE):
        yield Postgres(named)
        return
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.postgres_host", *settings],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # an interrupt of the tests is not one of the database: it ends after them
    ) as host:
        assert host.stdout is not None
        line = host.stdout.readline()
        assert line, "PostgreSQL did not start"
        where = json.loads(line)
        yield Postgres(where["url"], host, where["data"])
