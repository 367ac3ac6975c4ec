"""Models to test with."""

from collections.abc import Sequence

from howler.model.v1.model_service_pb2 import Model

from server.catalog.listing import Listing
from server.catalog.names import named


def model(
    upstream_id: str,
    provider: str,
    name: str,
    remark: str = "",
    *,
    created: int = 0,
    default: bool = False,
    level: str = "",
) -> Model:
    """Make a model as the platform lists it."""
    made = Model(
        upstream_id=upstream_id,
        provider=provider,
        model=name,
        display_name=remark,
        is_default=default,
        access_level=level,
    )
    made.create_time.seconds = created
    return made


LISTED = named(
    [
        model("u1", "OpenAI", "gpt-x", "Big One", created=30),
        model("u2", "DeepSeek", "gpt-x", "Cheap One", created=20),
        model("u3", "OpenAI", "gpt-x", "Old One", created=10, default=True),
        model("u4", "OpenAI", "vendor/free", "gpt-x", created=40),
        model("u5", "Moonshot", "kimi", "DeepSeek/gpt-x", created=50),
    ]
)
"""Ids: u1 `monkeycode/OpenAI/gpt-x#2`, u3 (the older) `monkeycode/OpenAI/gpt-x`."""


def listing(models: Sequence[Model]) -> Listing:
    """Make a listing of models that have their ids and that anyone may use."""
    return Listing(models=tuple(models), accounts={}, fetched_at=0.0)
