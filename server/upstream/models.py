"""Models, from the platform's words to ours (upstream-protocol §3.1)."""

from typing import Any, Final

from howler.model.v1.model_service_pb2 import Model, Owner, OwnerType

from server.upstream.shapes import flag, number, small, text

_TYPES: Final = {
    "private": OwnerType.OWNER_TYPE_PRIVATE,
    "team": OwnerType.OWNER_TYPE_TEAM,
    "public": OwnerType.OWNER_TYPE_PUBLIC,
}
_LAST_SECOND: Final = 253402300799  # of the year 9999, the last that a Timestamp may hold


def read_model(row: dict[str, Any]) -> Model | None:
    """Read one model, its `id` left empty; None for a hidden one and for one that no task could name."""
    upstream_id = text(row, "id")
    name = text(row, "model", "name")
    if not upstream_id or not name or flag(row, "is_hidden"):
        return None
    model = Model(
        upstream_id=upstream_id,
        provider=text(row, "provider"),
        model=name,
        display_name=text(row, "remark", "display_name", "name"),
        owner=_owner(row.get("owner")),
        is_free=flag(row, "is_free"),
        is_default=flag(row, "is_default"),
        context_limit=small(row, "context_limit"),
        output_limit=small(row, "output_limit"),
        thinking=row.get("thinking_enabled", True) is True,  # the platform's own default
        images=flag(row, "support_image"),
        access_level=text(row, "access_level"),
        interface_type=text(row, "interface_type"),
    )
    if created := number(row, "created_at"):
        model.create_time.seconds = min(created, _LAST_SECOND)
    return model


def _owner(owner: Any) -> Owner | None:
    """Read an owner: an object, or with older backends its type or its name as a string (§10)."""
    if isinstance(owner, str) and owner:
        kind = _TYPES.get(owner.lower())
        return Owner(type=kind) if kind is not None else Owner(name=owner)
    if not isinstance(owner, dict):
        return None
    return Owner(
        type=_TYPES.get(text(owner, "type").lower(), OwnerType.OWNER_TYPE_UNSPECIFIED),
        name=text(owner, "name"),
        id=text(owner, "id"),
    )
