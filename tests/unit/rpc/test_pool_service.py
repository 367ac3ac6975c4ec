"""PoolService over a real channel: what it refuses, and that credentials never come out."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from howler.pool.v1 import pool_service_pb2 as pb
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2_grpc import PoolServiceStub, add_PoolServiceServicer_to_server

from server.pool.account import TEAM_COOKIE
from server.rpc.interceptors import Edge
from server.rpc.pool_service import PoolService
from tests.support.howler import refused
from tests.unit.pool.stand_in import Platform, pool_in


@pytest.fixture
def platform() -> Platform:
    """Stand in for the platform."""
    return Platform()


@pytest.fixture
async def stub(tmp_path: Path, platform: Platform) -> AsyncIterator["PoolServiceStub"]:
    """Serve a pool on loopback."""
    async with pool_in(tmp_path, platform) as (pool, _):
        server = grpc.aio.server(interceptors=[Edge()])
        add_PoolServiceServicer_to_server(PoolService(pool, queue_timeout=0.2, lease_ttl=7.0), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield PoolServiceStub(channel)
        await server.stop(0)


async def test_a_lease_from_end_to_end(stub: PoolServiceStub, platform: Platform) -> None:
    """P9."""
    imported = await stub.ImportAccount(pb.ImportAccountRequest(cookie=platform.user("ann")))
    assert imported.created
    lease = (await stub.Acquire(pb.AcquireRequest(holder="svc", purpose="p"))).lease
    assert (lease.account_id, lease.mode) == (imported.account.account_id, pb.LEASE_MODE_EXCLUSIVE)
    (account,) = (await stub.ListAccounts(pb.ListAccountsRequest())).accounts
    lasts = lease.expire_time.ToMicroseconds() - account.last_used_time.ToMicroseconds()
    assert 7_000_000 <= lasts < 15_000_000, "as long as the setting says"
    assert await refused(stub.Acquire(pb.AcquireRequest())) == "POOL_EXHAUSTED"
    key = {"lease_id": lease.lease_id, "token": lease.token}
    renewed = (await stub.Renew(pb.RenewRequest(**key, ttl=Duration(seconds=60)))).lease
    assert renewed.expire_time.seconds > lease.expire_time.seconds
    assert (
        await refused(stub.Release(pb.ReleaseRequest(lease_id=lease.lease_id, token=7))) == "LEASE_NOT_FOUND"
    )
    await stub.Release(pb.ReleaseRequest(**key))
    await stub.Release(pb.ReleaseRequest(**key))
    assert await refused(stub.Renew(pb.RenewRequest(**key))) == "LEASE_LOST"
    pool = await stub.GetPool(pb.GetPoolRequest())
    assert (pool.accounts, pool.usable, pool.slots, pool.slots_used, pool.waiting) == (1, 1, 1, 0, 0)
    await stub.RemoveAccount(pb.RemoveAccountRequest(account_id=imported.account.account_id))
    assert await refused(stub.Acquire(pb.AcquireRequest())) == "NO_ACCOUNT"


@pytest.mark.parametrize(
    "request_",
    [
        pb.AcquireRequest(holder="x" * 129),
        pb.AcquireRequest(purpose="é" * 65),
        pb.AcquireRequest(wait=Duration(seconds=-1)),
        pb.AcquireRequest(ttl=Duration(nanos=999_999_999)),
        pb.AcquireRequest(ttl=Duration(seconds=3601)),
        pb.AcquireRequest(mode=7),  # type: ignore[arg-type]
    ],
)
async def test_what_cannot_be_meant_is_refused(stub: PoolServiceStub, request_: pb.AcquireRequest) -> None:
    assert await refused(stub.Acquire(request_)) == "INVALID_REQUEST"


async def test_credentials_are_tried_first(stub: PoolServiceStub, platform: Platform) -> None:
    """P12."""
    reasons = {
        "INVALID_REQUEST": pb.ImportAccountRequest(email="a@b.c"),
        "SESSION_EXPIRED": pb.ImportAccountRequest(cookie="dead"),
        "LOGIN_FAILED": pb.ImportAccountRequest(email="a@b.c", password="wrong"),
        "TEAM_SESSION": pb.ImportAccountRequest(cookie=f"{TEAM_COOKIE}=x"),
    }
    for reason, request in reasons.items():
        assert await refused(stub.ImportAccount(request)) == reason
    assert (
        await refused(stub.ImportAccount(pb.ImportAccountRequest(cookie="x", slots=-1))) == "INVALID_REQUEST"
    )
    assert not (await stub.ListAccounts(pb.ListAccountsRequest())).accounts


async def test_credentials_never_come_out(stub: PoolServiceStub, platform: Platform) -> None:
    platform.passwords["ann@example.com"] = "canary"
    first = await stub.ImportAccount(
        pb.ImportAccountRequest(email="ann@example.com", password="canary", slots=2)
    )
    again = await stub.ImportAccount(
        pb.ImportAccountRequest(email="ANN@example.com", password="canary", cookie="stale")
    )
    assert (first.created, again.created) == (True, False)
    assert first.account.account_id == again.account.account_id
    (account,) = (await stub.ListAccounts(pb.ListAccountsRequest())).accounts
    assert (account.email, account.has_password, account.slots) == ("A•••@example.com", True, 2)
    told = f"{first}{again}{account}"
    assert "canary" not in told
    assert not any(cookie in told for cookie in platform.sessions)


async def test_watching(stub: PoolServiceStub, platform: Platform) -> None:
    await stub.ImportAccount(pb.ImportAccountRequest(cookie=platform.user("ann")))
    events = aiter(stub.Watch(pb.WatchRequest()))
    assert (await anext(events)).event == PoolEvent.POOL_EVENT_SNAPSHOT
    lease = (await stub.Acquire(pb.AcquireRequest(mode=pb.LEASE_MODE_SHARED))).lease
    told = await anext(events)
    assert (told.event, told.account.account_id) == (PoolEvent.POOL_EVENT_LEASED, lease.account_id)
    assert told.time_unix_ms > 0
