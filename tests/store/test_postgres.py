"""What is PostgreSQL's own: addresses, migrations, lost connections, crashes, what replicas hear."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from howler.pool.v1.cooldown_pb2 import Cooldown, CooldownScope
from howler.pool.v1.pool_service_pb2 import AccountState, Lease, LeaseMode
from howler.task.v1.task_service_pb2 import Task

from server.pool.account import AccountId, LeaseId, Member, TaskId
from server.store.errors import DatabaseUrlError, SchemaError, StoreError
from server.store.open import store_at
from server.store.postgres import connections
from server.store.postgres.address import Address
from server.store.postgres.schema import alone, migrate, migrations
from server.store.postgres.statements import Statement, statements
from server.store.postgres.store import PostgresStore
from tests.support.keys import ring
from tests.support.lossy import Lossy
from tests.support.postgres import Postgres

ANN = AccountId("acc_ann")
NO_TASK = TaskId("")
PASSWORD = "canary-password-9d1c"
SECONDS = 60.0


@asynccontextmanager
async def opened(url: str, slots: int = 1, **account: object) -> AsyncIterator[PostgresStore]:
    """Open a store with one account."""
    async with PostgresStore(url, ring()) as store:
        member = Member(ANN, cookie="c", state=AccountState.ACCOUNT_STATE_ACTIVE, slots=slots)
        await store.add_account(replace(member, **account))  # type: ignore[arg-type]
        yield store


def lease(lease_id: str, mode: LeaseMode = LeaseMode.LEASE_MODE_EXCLUSIVE) -> Lease:
    return Lease(lease_id=lease_id, account_id=ANN, mode=mode, holder="h", purpose="p")


async def until(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(SECONDS):
        while not (held if isinstance(held := holds(), bool) else await held):
            await asyncio.sleep(0.01)


# Where it is.


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://ann:{PASSWORD}@db.example:5433/howler", "postgresql://ann@db.example:5433/howler"),
        ("postgres://db.example/howler?sslmode=require", "postgresql://db.example/howler"),
        (f"postgresql:///howler?host=/run/pg&password={PASSWORD}", "postgresql:///run/pg/howler"),
    ],
)
def test_addresses_are_shown_without_their_password(url: str, shown: str) -> None:
    address = Address.of(url)
    assert (address.url, address.shown) == (url, shown)
    assert PASSWORD not in repr(address)


@pytest.mark.parametrize(
    "url",
    [f"postgresql://a:{PASSWORD}@host:port/db", f"postgresql://{PASSWORD}@[::1/db", "postgresql://h/d#x"],
)
def test_addresses_that_cannot_be_meant(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match="HOWLER_DATABASE_URL: must have the form") as refused:
        store_at(url, ring())
    assert PASSWORD not in str(refused.value)


async def refusal(url: str) -> str:
    """Return in which words a database is refused."""
    with pytest.raises(StoreError) as refused:
        async with PostgresStore(url, ring()):
            pass
    text = str(refused.value)
    assert text.startswith("HOWLER_DATABASE_URL: ")
    assert "\n" not in text
    assert PASSWORD not in text
    return text


async def test_a_database_that_is_not_there_is_told_in_one_line(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RETRY_SECONDS", 0.1)
    nobody = urlunsplit(urlsplit(postgres.url)._replace(path="/nobody"))
    assert "has no such database" in await refusal(nobody)
    assert "cannot be reached" in await refusal(f"postgresql://ann:{PASSWORD}@127.0.0.1:1/howler")
    assert "cannot be reached" in await refusal("postgresql:///howler?host=/nowhere")


async def test_a_wrong_password_is_told_in_one_line(own_postgres: Postgres, postgres_url: str) -> None:
    async with own_postgres.guarded("guarded", "the-right-one"):
        wrong = postgres_url.replace("postgres:@", f"guarded:{PASSWORD}@")
        assert wrong != postgres_url
        assert "does not let this user in, or not with this password" in await refusal(wrong)
        poor = postgres_url.replace("postgres:@", "guarded:the-right-one@")
        assert "lets this user do too little" in await refusal(poor)


# The schema.


async def test_replicas_that_start_at_once_make_one_schema(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url, ring()) for _ in range(6)]
    await asyncio.gather(*(store.__aenter__() for store in stores))
    assert len({store.replica for store in stores}) == 6
    assert await stores[0].add_account(Member(ANN))
    assert [member.account_id for member in (await stores[5].books()).members] == [ANN]
    await asyncio.gather(*(store.__aexit__() for store in stores))


async def test_a_newer_schema_is_refused(postgres_url: str) -> None:
    """T-F6."""
    newest = max(migrations())
    async with opened(postgres_url):
        connection = await asyncpg.connect(postgres_url)
        await connection.execute("INSERT INTO schema_version (version) VALUES ($1)", newest + 1)
        await connection.close()
        with pytest.raises(SchemaError, match=f"has schema {newest + 1}, this Howler knows {newest}"):
            async with PostgresStore(postgres_url, ring()):
                pass


async def test_a_migration_that_fails_leaves_nothing(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    scripts = {1: "CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER);", 2: "CREATE TABLE a (x INTEGER);"}

    async def migrated() -> None:
        async with connection.transaction():
            await alone(connection)
            await migrate(connection, scripts)

    with pytest.raises(asyncpg.DuplicateTableError):
        await migrated()
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


async def test_every_query_compiles_and_says_what_it_is_for(postgres_url: str) -> None:
    async with opened(postgres_url):
        connection = await asyncpg.connect(postgres_url)
        for statement in statements().values():
            await connection.prepare(statement.text)
        await connection.close()
    folder = Path(connections.__file__).parents[1] / "sql" / "postgres"
    for path in folder.glob("*.sql"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith("-- name:"):
                assert lines[number + 1].startswith("-- "), f"{path.name}: {line} has no line of intent"


def test_parameters_get_numbers_and_the_clock_is_the_databases() -> None:
    statement = Statement.of("SELECT :b, :a :: TEXT [], :b WHERE x <= :now;")
    assert statement.text.startswith("SELECT $1, $2 :: TEXT [], $1 WHERE x <= ((extract(epoch FROM clock_")
    assert statement.arguments({"a": "nul\0", "b": 2, "c": 3}) == [2, "nul\ufffd"]


# Many replicas.


async def test_replicas_never_share_a_slot(postgres_url: str) -> None:
    async with (
        opened(postgres_url, slots=3) as one,
        opened(postgres_url) as two,
        opened(postgres_url) as three,
    ):
        stores = [one, two, three]
        held: set[str] = set()
        most = 0
        tokens: list[int] = []

        async def work(store: PostgresStore, name: str) -> None:
            nonlocal most
            for number in range(30):
                asked = lease(f"{name}-{number}")
                token = await store.grant(asked, NO_TASK, 15, 1)
                if token is None:
                    await asyncio.sleep(0.001)
                    continue
                tokens.append(token)
                held.add(asked.lease_id)
                most = max(most, len(held))
                await asyncio.sleep(0.005)
                held.discard(asked.lease_id)
                await store.end_lease(LeaseId(asked.lease_id), 2)

        await asyncio.gather(
            *(work(store, f"{which}{n}") for which, store in enumerate(stores) for n in range(3))
        )
        assert 1 < most <= 3
        assert sorted(tokens) == list(range(1, len(tokens) + 1)), "each grant has the next token"
        assert (await one.books()).leases == []


async def test_what_one_replica_changes_the_others_hear(postgres_url: str) -> None:
    async with opened(postgres_url) as one, PostgresStore(postgres_url, ring()) as two:
        heard: dict[str, set[AccountId]] = {"one": set(), "two": set()}
        one.listen(lambda accounts: heard["one"].update(accounts or ()))
        two.listen(lambda accounts: heard["two"].update(accounts or ()))
        await one.cool(AccountId(""), Cooldown(scope=CooldownScope.COOLDOWN_SCOPE_UPSTREAM), 5)
        await until(lambda: heard["two"] == {""})
        await one.grant(lease("l"), NO_TASK, 15, 1)
        await until(lambda: heard["two"] == {"", ANN})
        assert heard["one"] == set(), "what is our own is no news"


async def test_a_lost_listener_comes_back_and_says_so(postgres_url: str) -> None:
    async with opened(postgres_url) as one, PostgresStore(postgres_url, ring()) as two:
        heard: list[frozenset[AccountId] | None] = []
        two.listen(heard.append)
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'howler' AND datname = current_database()"
        )
        await connection.close()
        await until(lambda: None in heard)
        assert await one.grant(lease("l"), NO_TASK, 15, 1) == 1
        await until(lambda: frozenset({ANN}) in heard)


# A database that goes away.


async def test_a_grant_whose_answer_is_lost_is_found_again(own_postgres: Postgres, postgres_url: str) -> None:
    async with Lossy(postgres_url) as between, opened(between.url) as store:
        await store.grant(lease("warm", LeaseMode.LEASE_MODE_SHARED), NO_TASK, 15, 1)
        await store.end_lease(LeaseId("warm"), 2)
        assert await store.grant(lease("first"), NO_TASK, 15, 3) == 2
        await store.end_lease(LeaseId("first"), 4)
        lost = between.lost
        between.lose_answers()
        assert await store.grant(lease("second"), NO_TASK, 15, 5) == 3, "not granted twice, not refused"
        assert between.lost == lost + 1
        assert [held.lease.lease_id for held in (await store.books()).leases] == ["second"]
        between.lose_answers()
        await store.end_lease(LeaseId("second"), 6)
        assert between.lost == lost + 2
        assert (await store.books()).leases == []


async def test_the_right_to_log_in_is_not_claimed_twice(own_postgres: Postgres, postgres_url: str) -> None:
    async with Lossy(postgres_url) as between, opened(between.url) as store:
        assert await store.claim_login(ANN, 0.0)
        between.lose_answers()
        with pytest.raises(StoreError, match=r"HOWLER_DATABASE_URL: PostgreSQL at .* is away"):
            await store.claim_login(ANN, 60.0)
        assert not await store.claim_login(ANN, 60.0), "it was claimed all the same"


async def test_crashes_of_the_database_lose_nothing(
    own_postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RETRY_SECONDS", SECONDS)  # a busy machine takes its time to recover
    async with opened(postgres_url, slots=4) as one, opened(postgres_url) as two:
        over = asyncio.Event()
        tokens: list[int] = []

        async def work(store: PostgresStore, name: str) -> None:
            number = 0
            while not over.is_set():
                number += 1
                lease_id, task_id = LeaseId(f"{name}-{number}"), TaskId(f"{name}-{number}")
                token = await store.grant(lease(lease_id), NO_TASK, 15, 1)
                assert token is not None, "there are as many slots as workers"
                tokens.append(token)
                assert await store.renew({lease_id: 15}) == {lease_id}
                assert await store.record_task(Task(task_id=task_id, account_id=ANN), lease_id)
                await store.end_lease(lease_id, 2, ended_task=task_id)

        workers = [
            asyncio.create_task(work(store, f"{which}{n}"))
            for which, store in enumerate((one, two))
            for n in range(2)
        ]
        for _ in range(3):
            before = len(tokens)
            await until(lambda: len(tokens) > before + 20)  # noqa: B023 -- it is called at once
            await asyncio.to_thread(own_postgres.restart)
        over.set()
        await asyncio.gather(*workers)
        assert sorted(tokens) == list(range(1, len(tokens) + 1))
        books = await two.books()
        assert (books.leases, books.tasks) == ([], [])


async def test_a_database_that_stays_away_is_an_error(
    own_postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "RETRY_SECONDS", 0.2)
    between = Lossy(postgres_url)
    async with between:
        store = await PostgresStore(between.url, ring()).__aenter__()
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="HOWLER_DATABASE_URL: PostgreSQL at "):
        await store.grant(lease("l"), NO_TASK, 15, 1)
    await store.__aexit__()
    with pytest.raises(StoreError, match="the store is closed"):
        await store.books()


async def test_a_process_that_stands_still_in_a_transaction_holds_up_nobody_for_long(
    postgres_url: str,
) -> None:
    """What it has locked is free after the time of a statement: another adopts its turns meanwhile."""
    connection = await connections.Connections(Address.of(postgres_url)).connect()
    try:
        told = await connection.fetchval("SHOW idle_in_transaction_session_timeout")
        assert told == f"{connections.STATEMENT_SECONDS:g}s"
    finally:
        await connection.close()
