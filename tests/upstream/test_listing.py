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
from server.upstream.listing import Offers
from server.upstream.platform import Platform
from tests.support.keys import ring
from tests.upstream.stand_in import upstream


class Backend:
    """A platform of accounts: what each cookie lists, its plan, and what a login gives.

    A model is called as its id up to a colon, so that `monkeycode-pro:1` needs a plan.
    """

    def __init__(self, **models: Sequence[str]) -> None:
        self.models = dict(models)
        self.plans: dict[str, str] = {}
        self.asked_plans = 0
        self.refused: dict[str, dict[str, object]] = {}
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
                return web.json_response(self.refused[cookie])
            if cookie not in self.models:
                return web.Response(status=401, text="Unauthorized")
            rows = [
                {"id": name, "provider": "P", "model": name.partition(":")[0]} for name in self.models[cookie]
            ]
            return web.json_response({"code": 0, "message": "success", "data": {"models": rows}})
        finally:
            self._now -= 1

    async def subscription(self, request: web.Request) -> web.Response:
        self.asked_plans += 1
        plan = self.plans.get(request.cookies["monkeycode_ai_session"])
        if plan is None:
            return web.json_response({"message": "Not Found"}, status=404)
        return web.json_response({"code": 0, "message": "success", "data": {"plan": plan}})

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
        "GET_users_subscription": backend.subscription,
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
        listing = await Offers(pool, platform, now=lambda: 1234.5).load()
    assert having(listing) == {"a1": 1, "b1": 2, "c1": 1}
    assert {model.id for model in listing.models} == {"monkeycode/P/a1", "monkeycode/P/b1", "monkeycode/P/c1"}
    assert listing.fetched_at == 1234.5


async def test_an_account_that_fails_is_left_out_and_reported(tmp_path: Path) -> None:
    backend = Backend(ann=["a1"])
    async with howler(tmp_path, backend, Credentials(cookie="bob"), Credentials(cookie="ann")) as (
        pool,
        platform,
    ):
        listing = await Offers(pool, platform).load()
        states = {account.state for account in await pool.accounts()}
    assert having(listing) == {"a1": 1}
    assert AccountState.ACCOUNT_STATE_EXPIRED in states


async def test_an_account_that_can_log_in_again_does(tmp_path: Path) -> None:
    """P12."""
    backend = Backend(**{"ann+": ["a1"]})
    backend.fresh["ann@example.com"] = "ann+"
    ann = Credentials(cookie="ann", email="ann@example.com", password="pw")
    async with howler(tmp_path, backend, ann) as (pool, platform):
        assert having(await Offers(pool, platform).load()) == {"a1": 1}


async def test_all_accounts_fail(tmp_path: Path) -> None:
    backend = Backend()
    backend.refused["ann"] = {"code": 10001, "message": "no"}
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        with pytest.raises(ServiceError) as raised:
            await Offers(pool, platform).load()
    assert reason_name(raised.value.reason) == "UPSTREAM_FORBIDDEN"


async def test_no_account(tmp_path: Path) -> None:
    async with howler(tmp_path, Backend()) as (pool, platform):
        with pytest.raises(ServiceError) as raised:
            await Offers(pool, platform).load()
    assert reason_name(raised.value.reason) == "NO_ACCOUNT"


async def test_many_accounts_are_asked_a_few_at_a_time(tmp_path: Path) -> None:
    names = [f"user{number}" for number in range(30)]
    backend = Backend(**{name: ["a1", f"b{name}"] for name in names})
    async with howler(tmp_path, backend, *(Credentials(cookie=name) for name in names)) as (pool, platform):
        listing = await Offers(pool, platform).load()
    assert having(listing)["a1"] == 30
    assert len(listing.models) == 31
    assert 1 < backend.most_at_once <= 8


async def test_the_catalogue_follows_the_pool(tmp_path: Path) -> None:
    """An account that comes later is used at once, not after five minutes."""
    backend = Backend(ann=["a1"], bob=["b1"])
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        catalog = Catalog(Offers(pool, platform).load)
        pool.heed_accounts(catalog.renew)
        assert having(await catalog.listing()) == {"a1": 1}
        await pool.import_account(Credentials(cookie="bob"))
        async with asyncio.timeout(60):
            while having(await catalog.listing()) != {"a1": 1, "b1": 1}:
                await asyncio.sleep(0.01)
        ann = next(account for account in await pool.accounts() if account.user_id == "user-ann")
        await pool.remove_account(AccountId(ann.account_id))
        async with asyncio.timeout(60):
            while having(await catalog.listing()) != {"b1": 1}:
                await asyncio.sleep(0.01)
    await catalog.close()


async def ids(pool: Pool) -> dict[str, str]:
    """Return each user's account."""
    return {account.user_id.removeprefix("user-"): account.account_id for account in await pool.accounts()}


PRO = "monkeycode-pro:1"


async def test_plans_say_who_may_use_what(tmp_path: Path) -> None:
    backend = Backend(ann=["a1", PRO], bob=["a1", PRO], cid=["a1", PRO])
    backend.plans = {"ann": "basic", "bob": "Ultra"}
    cookies = [Credentials(cookie=name) for name in backend.models]
    async with howler(tmp_path, backend, *cookies) as (pool, platform):
        listing = await Offers(pool, platform).load()
        account = await ids(pool)
    assert listing.accounts == {
        "a1": frozenset(account.values()),
        PRO: frozenset({account["bob"], account["cid"]}),  # cid's plan is not told, which bars nothing
    }


async def test_plans_are_asked_only_where_a_model_depends_on_them(tmp_path: Path) -> None:
    backend = Backend(ann=["a1"])
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        offers = Offers(pool, platform)
        await offers.load()
        assert backend.asked_plans == 0
        backend.models["ann"] = [PRO]
        await offers.load()
        assert backend.asked_plans == 1


async def test_a_plan_that_is_not_told_again_stays(tmp_path: Path) -> None:
    backend = Backend(ann=[PRO])
    backend.plans = {"ann": "basic"}
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        offers = Offers(pool, platform)
        first = await offers.load()
        backend.plans.clear()
        again = await offers.load()
    for listing in (first, again):
        assert [reason_name(barred.reason) for barred in listing.barred] == ["MODEL_ACCESS_DENIED"]


async def test_a_plan_that_changes(tmp_path: Path) -> None:
    backend = Backend(ann=[PRO])
    backend.plans = {"ann": "basic"}
    async with howler(tmp_path, backend, Credentials(cookie="ann")) as (pool, platform):
        offers = Offers(pool, platform)
        assert having(await offers.load()) == {}
        backend.plans["ann"] = "pro"
        assert having(await offers.load()) == {PRO: 1}


async def test_an_account_that_does_not_answer_keeps_its_models(tmp_path: Path) -> None:
    backend = Backend(ann=["a1"], bob=["b1"])
    cookies = [Credentials(cookie="ann"), Credentials(cookie="bob")]
    async with howler(tmp_path, backend, *cookies) as (pool, platform):
        offers = Offers(pool, platform)
        assert (await offers.load()).complete
        backend.refused["bob"] = {"code": 10004, "message": "database"}
        silent = await offers.load()
        fresh = await Offers(pool, platform).load()
    assert having(silent) == {"a1": 1, "b1": 1}
    assert having(fresh) == {"a1": 1}
    assert not silent.complete
    assert not fresh.complete


async def test_an_account_without_a_session_leaves_its_models_barred(tmp_path: Path) -> None:
    """Until it is removed: a caller is told that the account is out of use, not that there is no model."""
    backend = Backend(ann=["a1"], bob=["b1"])
    cookies = [Credentials(cookie="ann"), Credentials(cookie="bob")]
    async with howler(tmp_path, backend, *cookies) as (pool, platform):
        offers = Offers(pool, platform)
        await offers.load()
        del backend.models["bob"]
        expired = await offers.load()
        await pool.remove_account(AccountId((await ids(pool))["bob"]))
        removed = await offers.load()
    assert having(expired) == having(removed) == {"a1": 1}
    assert [(one.model.upstream_id, reason_name(one.reason)) for one in expired.barred] == [
        ("b1", "NO_ACCOUNT")
    ]
    assert removed.barred == ()


async def test_an_account_that_can_log_in_keeps_its_models(tmp_path: Path) -> None:
    """The pool logs it in when a turn wants it; a server that has no login to give now does not hide them."""
    backend = Backend(ann=["a1"], bob=["b1"])
    bob = Credentials(cookie="bob", email="bob@example.com", password="pw")
    async with howler(tmp_path, backend, Credentials(cookie="ann"), bob) as (pool, platform):
        offers = Offers(pool, platform)
        await offers.load()
        del backend.models["bob"]
        backend.fresh["bob@example.com"] = "bob+"  # which the platform does not take either
        listing = await offers.load()
        account = await ids(pool)
    assert listing.accounts["b1"] == {account["bob"]}
    assert not listing.complete
