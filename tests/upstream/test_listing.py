"""One list of the models of all accounts: a real pool, a real platform client, upstreams on loopback."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from howler.pool.v1.pool_service_pb2 import AccountState
from howler.task.v1.task_service_pb2 import Task

from server.catalog.cache import Catalog
from server.catalog.listing import Listing
from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Credentials
from server.pool.pool import Pool
from server.store.sqlite import Store
from server.upstream.listing import keep_current, load
from server.upstream.platform import Platform
from tests.support.keys import ring
from tests.upstream.stand_in import upstream


class Backend:
    """A platform of accounts: what each cookie lists, and what a login gives."""

    def __init__(self, **models: Sequence[str]) -> None:
        self.models = dict(models)
        self.refused: dict[str, web.Response] = {}
        self.fresh: dict[str, str] = {}
        self.most_at_once = 0
        self._now = 0

    async def list_models(self, request: web.Request) -> web.Response:
        cookie = request.cookies["monkeycode_ai_session"]
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(0.01)  # so that those who may come at once meet here
            if cookie in self.refused:
                return self.refused[cookie]
            if cookie not in self.models:
                return web.Response(status=401, text="Unauthorized")
            rows = [{"id": name, "provider": "P", "model": name[0]} for name in self.models[cookie]]
            return web.json_response({"code": 0, "message": "success", "data": {"models": rows}})
        finally:
            self._now -= 1

    async def status(self, request: web.Request) -> web.Response:
        cookie = request.cookies["monkeycode_ai_session"]
        user = {"id": f"user-{cookie.rstrip('+')}", "name": cookie}
        return web.json_response({"code": 0, "message": "success", "data": {"user": user}})

    async def config(self, _: web.Request) -> web.Response:
        return web.json_response({"code": 0, "message": "success", "data": {"captcha_enabled": False}})

    async def login(self, request: web.Request) -> web.Response:
        email = (await request.json())["email"]
        reply = web.json_response({"code": 0, "message": "success", "data": {"id": f"user-{email}"}})
        reply.set_cookie("monkeycode_ai_session", self.fresh[email])
        return reply


@asynccontextmanager
async def howler(
    directory: Path, backend: Backend, *accounts: Credentials
) -> AsyncIterator[tuple[Pool, Platform]]:
    async def evict(_: Task) -> None:
        raise AssertionError("nothing to evict")

    routes = {
        "GET_users_models": backend.list_models,
        "GET_users_status": backend.status,
        "GET_server_config": backend.config,
        "POST_users_password__login": backend.login,
    }
    async with (
        upstream(**routes) as url,
        Platform(url) as platform,
        Store(f"sqlite:///{directory}/howler.db", ring()) as store,
        Pool(store, platform, evict=evict) as pool,
    ):
        if accounts:
            await pool.register(accounts)
        yield pool, platform


def having(listing: Listing) -> dict[str, int]:
    """Return how many accounts have each model."""
    return {model.upstream_id: len(listing.accounts[model.upstream_id]) for model in listing.models}


async def test_the_models_of_all_accounts_are_merged(tmp_path: Path) -> None:
    backend = Backend(ann=["a1", "b1"], bob=["c1", "b1"])
    async with howler(tmp_path, backend, Credentials(cookie="ann"), Credentials(cookie="bob")) as (
        pool,
        platform,
    ):
        listing = await load(pool, platform, now=lambda: 1234.5)
    assert having(listing) == {"a1": 1, "b1": 2, "c1": 1}
    assert {model.id for model in listing.models} == {"monkeycode/P/a", "monkeycode/P/b", "monkeycode/P/c"}
    assert listing.fetched_at == 1234.5


async def test_an_account_that_fails_is_left_out_and_reported(tmp_path: Path) -> None:
    backend = Backend(ann=["a1"])
    async with howler(tmp_path, backend, Credentials(cookie="bob"), Credentials(cookie="ann")) as (
        pool,
        platform,
    ):
        listing = await load(pool, platform)
        states = {account.state for account in await pool.accounts()}
    assert having(listing) == {"a1": 1}
    assert AccountState.ACCOUNT_STATE_EXPIRED in states


async def test_an_account_that_can_log_in_again_does(tmp_path: Path) -> None:
    """P12."""
    backend = Backend(**{"ann+": ["a1"]})
    backend.fresh["ann@example.com"] = "ann+"
    ann = Credentials(cookie="ann", email="ann@example.com", password="pw")
    async with howler(tmp_path, backend, ann) as (pool, platform):
        assert having(await load(pool, platform)) == {"a1": 1}


async def test_all_accounts_fail(tmp_path: Path) -> None:
    backend = Backend()
    backend.refused["ann"] = web.json_response({"code": 10001, "message": "no"})
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        with pytest.raises(ServiceError) as raised:
            await load(pool, platform)
    assert reason_name(raised.value.reason) == "UPSTREAM_FORBIDDEN"


async def test_no_account(tmp_path: Path) -> None:
    async with howler(tmp_path, Backend()) as (pool, platform):
        with pytest.raises(ServiceError) as raised:
            await load(pool, platform)
    assert reason_name(raised.value.reason) == "NO_ACCOUNT"


async def test_many_accounts_are_asked_a_few_at_a_time(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(30)]
    backend = Backend(**{name: ["a1", f"b{name}"] for name in names})
    async with howler(tmp_path, backend, *(Credentials(cookie=name) for name in names)) as (pool, platform):
        listing = await load(pool, platform)
    assert having(listing)["a1"] == 30
    assert len(listing.models) == 31
    assert 1 < backend.most_at_once <= 8


async def test_the_catalogue_follows_the_pool(tmp_path: Path) -> None:
    """An account that comes later is used at once, not after five minutes."""
    backend = Backend(ann=["a1"], bob=["b1"])
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        catalog = Catalog(lambda: load(pool, platform))
        following = asyncio.create_task(keep_current(pool, catalog))
        assert having(await catalog.listing()) == {"a1": 1}
        await pool.import_account(Credentials(cookie="bob"))
        async with asyncio.timeout(30):
            while having(await catalog.listing()) != {"a1": 1, "b1": 1}:
                await asyncio.sleep(0.01)
        ann = next(account for account in await pool.accounts() if account.user_id == "user-ann")
        await pool.remove_account(AccountId(ann.account_id))
        async with asyncio.timeout(30):
            while having(await catalog.listing()) != {"b1": 1}:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        await following  # it ends with the pool
    await catalog.close()
