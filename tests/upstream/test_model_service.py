"""ModelService over a real channel (parity P5)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1 import model_service_pb2 as pb
from howler.model.v1.model_service_pb2_grpc import ModelServiceStub, add_ModelServiceServicer_to_server

from server.catalog.cache import Catalog
from server.catalog.listing import Listing
from server.errors import ServiceError
from server.rpc.interceptors import Edge
from server.rpc.model_service import ModelService
from tests.unit.catalog.models import LISTED

if TYPE_CHECKING:
    from howler.model.v1.model_service_pb2_grpc import ModelServiceAsyncStub  # in the stubs alone


class Source:
    """Where the lists come from; each is dated by its number."""

    def __init__(self) -> None:
        self.loads = 0
        self.down = False

    async def load(self) -> Listing:
        self.loads += 1
        if self.down:
            raise ServiceError(ErrorReason.ERROR_REASON_NO_ACCOUNT, "no account yet")
        return Listing(models=LISTED, accounts={}, fetched_at=1784088470.25 + self.loads)


@asynccontextmanager
async def service(source: Source) -> AsyncIterator["ModelServiceAsyncStub"]:
    catalog = Catalog(source.load)
    server = grpc.aio.server(interceptors=[Edge()])
    add_ModelServiceServicer_to_server(ModelService(catalog), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield ModelServiceStub(channel)
    finally:
        await server.stop(0)
        await catalog.close()


async def test_resolve_says_which_layer_matched() -> None:
    """P5.1: over gRPC strict is off by default."""
    async with service(Source()) as models:
        by_id = await models.Resolve(pb.ResolveRequest(model="monkeycode/OpenAI/gpt-x#2", strict=True))
        stood_in = await models.Resolve(pb.ResolveRequest(model="no such"))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await models.Resolve(pb.ResolveRequest(model="no such", strict=True))
    assert (by_id.model.upstream_id, by_id.matched_by) == ("u1", pb.MATCHED_BY_ID)
    assert (stood_in.model.upstream_id, stood_in.matched_by) == ("u3", pb.MATCHED_BY_DEFAULT)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_list_and_refresh() -> None:
    """P5.2."""
    source = Source()
    async with service(source) as models:
        listed = await models.List(pb.ListRequest())
        none = await models.List(pb.ListRequest(free=True))
        refreshed = await models.Refresh(pb.RefreshRequest())
        later = await models.List(pb.ListRequest())
    assert [model.id for model in listed.models] == [model.id for model in LISTED]
    assert list(none.models) == []
    assert list(refreshed.models) == list(listed.models)
    assert listed.fetch_time.ToMilliseconds() == 1784088471250
    assert refreshed.fetch_time == later.fetch_time != listed.fetch_time
    assert source.loads == 2


async def test_an_owner_that_is_none() -> None:
    async with service(Source()) as models:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await models.List(pb.ListRequest(owner=9))  # type: ignore[arg-type]
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_no_list_yet() -> None:
    source = Source()
    source.down = True
    async with service(source) as models:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await models.List(pb.ListRequest())
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        source.down = False
        assert (await models.List(pb.ListRequest())).models
