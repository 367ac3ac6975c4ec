"""P5.2: filters by owner and by free; those that are set must all hold."""

import pytest
from howler.model.v1.model_service_pb2 import ListRequest, Model, Owner, OwnerType

from server.catalog.select import selected

MODELS = [
    Model(id="own", owner=Owner(type=OwnerType.OWNER_TYPE_PRIVATE)),
    Model(id="team", owner=Owner(type=OwnerType.OWNER_TYPE_TEAM), is_free=True),
    Model(id="public", owner=Owner(type=OwnerType.OWNER_TYPE_PUBLIC)),
    Model(id="gift", owner=Owner(type=OwnerType.OWNER_TYPE_PUBLIC), is_free=True),
    Model(id="unknown"),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (ListRequest(), "own team public gift unknown"),
        (ListRequest(owner=OwnerType.OWNER_TYPE_PRIVATE), "own"),
        (ListRequest(owner=OwnerType.OWNER_TYPE_TEAM), "team"),
        (ListRequest(owner=OwnerType.OWNER_TYPE_PUBLIC), "public gift"),
        (ListRequest(free=True), "team gift"),
        (ListRequest(free=False), "own public unknown"),
        (ListRequest(owner=OwnerType.OWNER_TYPE_PUBLIC, free=True), "gift"),
        (ListRequest(owner=OwnerType.OWNER_TYPE_PRIVATE, free=True), ""),
    ],
)
def test_filters(wanted: ListRequest, ids: str) -> None:
    """P5.2."""
    assert [model.id for model in selected(MODELS, wanted)] == ids.split()
