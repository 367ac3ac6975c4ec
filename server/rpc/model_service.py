"""ModelService: asks the catalogue."""

from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from howler.model.v1 import model_service_pb2 as pb
from howler.model.v1.model_service_pb2_grpc import ModelServiceServicer

from server.catalog.cache import Catalog
from server.catalog.listing import Listing
from server.catalog.resolve import resolve
from server.catalog.select import selected
from server.rpc.checks import invalid

_Context = grpc.aio.ServicerContext[Any, Any]


class ModelService(ModelServiceServicer):
    """Which models there are and what a name means."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def Resolve(self, request: pb.ResolveRequest, context: _Context) -> pb.ResolveResponse:
        """Say which model a name means."""
        listing = await self._catalog.listing()
        model, matched_by = resolve(listing, request.model, strict=request.strict)
        return pb.ResolveResponse(model=model, matched_by=matched_by)

    async def List(self, request: pb.ListRequest, context: _Context) -> pb.ListResponse:
        """Return the models that pass the filters."""
        if request.owner not in pb.OwnerType.values():
            raise invalid(f"owner: {request.owner} is no OwnerType")
        listing = await self._catalog.listing()
        return pb.ListResponse(models=selected(listing.models, request), fetch_time=_fetched(listing))

    async def Refresh(self, request: pb.RefreshRequest, context: _Context) -> pb.RefreshResponse:
        """Fetch the list now."""
        listing = await self._catalog.refresh()
        return pb.RefreshResponse(models=listing.models, fetch_time=_fetched(listing))


def _fetched(listing: Listing) -> Timestamp:
    time = Timestamp()
    time.FromMilliseconds(round(listing.fetched_at * 1000))
    return time
