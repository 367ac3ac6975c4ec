"""Picks models for ModelService.List. PURE."""

from collections.abc import Iterable

from howler.model.v1.model_service_pb2 import ListRequest, Model, OwnerType


def selected(models: Iterable[Model], wanted: ListRequest) -> list[Model]:
    """Return the models that pass every filter that is set, in their order."""
    return [
        model
        for model in models
        if wanted.owner in (OwnerType.OWNER_TYPE_UNSPECIFIED, model.owner.type)
        and (not wanted.HasField("free") or wanted.free == model.is_free)
    ]
