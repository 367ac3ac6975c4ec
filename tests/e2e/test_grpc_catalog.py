"""One catalogue for a pool of unequal accounts: who may use what, and where a turn goes (§3.2, §3.5, P5).

Against the sandbox, whose accounts differ by plan and by models of their own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.model.v1.model_service_pb2 import ListRequest, RefreshRequest, ResolveRequest
from howler.pool.v1.pool_service_pb2 import ImportAccountRequest, ListAccountsRequest, RemoveAccountRequest
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason

from tests.support.howler import Howler, accounts_file, reason_of
from tests.support.sandbox import accounts

PRO, ULTRA, OWN = "monkeycode-pro-1", "monkeycode-ultra-1", "anns-own"
MODELS = "/api/v1/users/models"
PLANS = {"ann": "basic", "bob": "pro", "cid": "flagship"}
COOKIES = {name: row["cookie"] for name, row in zip(PLANS, accounts(), strict=False)}

Start = Callable[..., AbstractAsyncContextManager[Howler]]


def email(name: str) -> str:
    return f"{name}@sandbox.example"


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a starter of a gateway with some of three users of the platform: ann has a model of her own."""
    users = [
        {
            "email": email(name),
            "password": f"{name}-pass",
            "slots": 4,
            "cookie": COOKIES[name],
            "plan": plan,
            "models": [OWN] if name == "ann" else [],
        }
        for name, plan in PLANS.items()
    ]
    platform = tmp_path / "platform.json"
    platform.write_text(json.dumps(users))

    @asynccontextmanager
    async def started(*names: str, **options: Any) -> AsyncIterator[Howler]:
        given: list[dict[str, object]] = [{"cookie": COOKIES[name], "slots": 2} for name in names]
        async with Howler(
            tmp_path,
            facade=options.pop("facade", False),
            env={"HOWLER_ACCOUNTS_FILE": accounts_file(tmp_path, given)},
            sandbox_env={"HOWLER_SANDBOX_ACCOUNTS": str(platform)},
        ) as howler:
            yield howler

    return started


async def tried(howler: Howler) -> list[str]:
    """Return the users as whom tasks were asked for, refused or not, in order."""
    requests = (await howler.sandbox.state())["request_log"]
    creates = (request for request in requests if request["route"] == "POST /api/v1/users/tasks")
    return [request["account"].partition("@")[0] for request in creates]


async def served_by(howler: Howler, model: str) -> str:
    """Run a turn on a model and return whose task it became, which must be the first that was tried."""
    before = len(await tried(howler))
    stop = TaskRetention.TASK_RETENTION_STOP
    events = await howler.turn("hello", model=model, strict_model=True, retention=stop)
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    (user,) = (await tried(howler))[before:]
    return user


async def refusal(howler: Howler, model: str) -> tuple[str, str]:
    """Return why a turn on a model is refused, and the words; Resolve must say the same."""
    with pytest.raises(grpc.aio.AioRpcError) as turn:
        await howler.turn("hello", model=model)
    with pytest.raises(grpc.aio.AioRpcError) as resolved:
        await howler.models.Resolve(ResolveRequest(model=model))
    assert reason_of(resolved.value) == reason_of(turn.value)
    assert resolved.value.details() == turn.value.details()
    return reason_of(turn.value), turn.value.details() or ""


async def listed(howler: Howler) -> set[str]:
    """Return the names that List tells."""
    models = (await howler.models.List(ListRequest())).models
    return {model.model for model in models}


async def test_a_turn_goes_to_an_account_whose_plan_opens_the_model(start: Start) -> None:
    """§3.2: not one create is tried where it would be refused."""
    async with start("ann", "bob", "cid") as howler:
        assert {PRO, ULTRA, OWN} <= await listed(howler)
        assert [await served_by(howler, ULTRA) for _ in range(3)] == ["cid"] * 3
        assert {await served_by(howler, PRO) for _ in range(4)} == {"bob", "cid"}
        assert [await served_by(howler, OWN) for _ in range(2)] == ["ann"] * 2
        assert {await served_by(howler, "glm-5") for _ in range(6)} == {"ann", "bob", "cid"}


async def test_a_model_that_no_plan_of_the_pool_opens(start: Start) -> None:
    """It is not listed, and who names it is told which plan it needs; the platform is not asked."""
    async with start("ann", facade=True) as howler:
        assert not {PRO, ULTRA} & await listed(howler)
        reason, words = await refusal(howler, PRO)
        assert reason == "MODEL_ACCESS_DENIED"
        assert "needs the plan pro or a better one; the pool's accounts have basic" in words
        assert (await refusal(howler, ULTRA))[0] == "MODEL_ACCESS_DENIED"
        async with howler.openai() as client:
            ids = [model.id async for model in client.models.list()]
            assert not [one for one in ids if one.endswith((PRO, ULTRA))]
        assert await tried(howler) == []


async def test_an_account_that_comes_brings_its_models_and_one_that_goes_takes_them(start: Start) -> None:
    async with start("bob") as howler:
        assert OWN not in await listed(howler)
        assert (await refusal(howler, ULTRA))[0] == "MODEL_ACCESS_DENIED"
        for name in ("ann", "cid"):
            await howler.pool.ImportAccount(ImportAccountRequest(cookie=COOKIES[name]))
        async with asyncio.timeout(60):
            while not {OWN, ULTRA} <= await listed(howler):
                await asyncio.sleep(0.02)
        assert await served_by(howler, OWN) == "ann"
        assert await served_by(howler, ULTRA) == "cid"
        known = (await howler.pool.ListAccounts(ListAccountsRequest())).accounts
        ann = next(account for account in known if account.email.startswith("a"))
        await howler.pool.RemoveAccount(RemoveAccountRequest(account_id=ann.account_id))
        async with asyncio.timeout(60):
            while OWN in await listed(howler):
                await asyncio.sleep(0.02)
        told = await howler.models.Resolve(ResolveRequest(model=OWN))
        assert told.model.model != OWN  # without `strict` the default stands in for what nobody has


async def test_an_account_whose_session_is_over_keeps_the_name_of_its_model(start: Start) -> None:
    """NO_ACCOUNT, which an operator mends: the model is not unknown, and none stands in for it."""
    async with start("ann", "bob") as howler:
        assert await served_by(howler, OWN) == "ann"
        await howler.sandbox.faults(accounts={"expire": [email("ann")]})
        await howler.models.Refresh(RefreshRequest())
        reason, words = await refusal(howler, OWN)
        assert reason == "NO_ACCOUNT"
        assert OWN in words
        assert OWN not in await listed(howler)
        assert await served_by(howler, "glm-5") == "bob"


async def test_one_account_whose_list_fails_hides_no_models(start: Start) -> None:
    async with start("ann", "bob") as howler:
        silent = {"path": MODELS, "account": email("ann"), "times": 1000, "do": "code", "code": 10004}
        await howler.sandbox.faults(routes=[silent])
        assert {"glm-5", PRO} <= await listed(howler)  # bob's, from the start
        assert OWN not in await listed(howler)
        await howler.sandbox.reset()
        await howler.models.Refresh(RefreshRequest())
        assert await served_by(howler, OWN) == "ann"
        await howler.sandbox.faults(routes=[silent])
        await howler.models.Refresh(RefreshRequest())
        assert await served_by(howler, OWN) == "ann"  # what she was offered before stands


async def test_a_plan_that_changes_is_obeyed_after_a_refresh(start: Start) -> None:
    async with start("ann", "bob") as howler:
        assert (await refusal(howler, ULTRA))[0] == "MODEL_ACCESS_DENIED"
        await howler.sandbox.faults(accounts={"plans": {email("ann"): "ultra", email("bob"): "basic"}})
        await howler.models.Refresh(RefreshRequest())
        assert await served_by(howler, ULTRA) == "ann"
        assert await served_by(howler, PRO) == "ann"


async def test_plans_that_are_not_told_leave_it_to_the_platform(start: Start) -> None:
    """10812: another account is tried, and who was refused is not asked again for a while."""
    untold = {"path": "/api/v1/users/subscription", "times": 1000, "do": "status", "status": 404}
    async with start("ann", "bob", "cid") as howler:
        await howler.sandbox.faults(routes=[untold])
        for _ in range(2):  # the first task is kept: the second turn would rather go to who has none
            events = await howler.turn("hello", model=ULTRA)
            assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        users = await tried(howler)
        assert (users.count("cid"), users[-1]) == (2, "cid")
        refused = [user for user in users if user != "cid"]
        assert refused
        assert len(refused) == len(set(refused))


async def test_many_callers_make_one_refresh(start: Start) -> None:
    """P5: whoever comes first, each account is asked once; perhaps once more when it is known to be good."""
    async with start("ann", "bob", "cid") as howler:
        lists = await asyncio.gather(*(howler.models.List(ListRequest()) for _ in range(50)))
        assert len({told.fetch_time.ToMicroseconds() for told in lists}) <= 2
        requests = (await howler.sandbox.state())["request_log"]
        asked = [request["account"] for request in requests if request["route"] == f"GET {MODELS}"]
        assert set(asked) == {email(name) for name in PLANS}
        assert len(asked) <= 2 * len(PLANS)
