"""Plans and wallets against upstreams that tell them in any form, or not at all (upstream-protocol §3.5)."""

from datetime import UTC, datetime

import pytest

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Session
from server.upstream.platform import Platform, Subscription, Wallet
from tests.support.sandbox import Sandbox, accounts
from tests.upstream.stand_in import SESSION, Recorder, answers, platform, says

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "subscription"),
    [
        ({"plan": "pro", "auto_renew": False}, Subscription("pro")),
        (
            {"plan": "Ultra", "expires_at": "2026-05-01T00:00:00Z", "auto_renew": True},
            Subscription("ultra", MAY, True),
        ),
        ({"plan": "basic", "expires_at": "2026-05-01T00:00:00"}, Subscription("basic", MAY)),
        ({"plan": "basic", "expires_at": int(MAY.timestamp())}, Subscription("basic", MAY)),
        ({"plan": "basic", "expires_at": "soon"}, Subscription("basic")),
        ({"plan": "basic", "expires_at": 1 << 80}, Subscription("basic")),
        ({"plan": "basic", "expires_at": -62135596800}, Subscription("basic")),
        ({}, Subscription("")),
    ],
)
async def test_subscription(data: object, subscription: Subscription) -> None:
    asked = Recorder(says(data))
    async with platform(GET_users_subscription=asked) as made:
        assert await made.subscription(SESSION) == subscription
    assert asked.asked[0].headers["Cookie"].endswith(SESSION.cookie)


@pytest.mark.parametrize(
    ("data", "wallet"),
    [
        (
            {"balance": 100_500, "daily_token_balance": 7, "daily_token_limit": 5_000_000},
            Wallet(100.5, 7, 5_000_000),
        ),
        ({"balance": 0}, Wallet(0.0)),
        ({"balance": None, "daily_token_balance": "many"}, Wallet(0.0)),
    ],
)
async def test_wallet(data: object, wallet: Wallet) -> None:
    async with platform(GET_users_wallet=says(data)) as made:
        assert await made.wallet(SESSION) == wallet


async def test_a_platform_that_tells_neither() -> None:
    unknown = answers('{"message":"Not Found"}', status=404, kind="application/json")
    async with platform(any=unknown) as made:
        assert await made.subscription(SESSION) is None
        assert await made.wallet(SESSION) is None


async def test_a_platform_that_refuses() -> None:
    async with platform(any=answers("Unauthorized", status=401, kind="text/plain")) as made:
        with pytest.raises(ServiceError) as raised:
            await made.subscription(SESSION)
    assert reason_name(raised.value.reason) == "SESSION_EXPIRED"


async def test_the_sandbox_tells_both(sandbox: Sandbox) -> None:
    known = Session(AccountId("acc_1"), accounts()[0]["cookie"])
    async with Platform(sandbox.url) as made:
        assert await made.subscription(known) == Subscription("pro")
        assert await made.wallet(known) == Wallet(100.0, 5_000_000, 5_000_000)
