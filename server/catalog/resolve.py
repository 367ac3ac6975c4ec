"""Says which model a name means: the six layers of MatchedBy. PURE."""

import difflib
from collections.abc import Sequence
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import MatchedBy, Model

from server.catalog.listing import Barred, Listing
from server.catalog.names import LAYERS
from server.errors import ServiceError

_NAME_CHARS: Final = 200  # of a name, as far as it is compared and quoted
_CLOSE: Final = 3


def resolve(listing: Listing, name: str, *, strict: bool) -> tuple[Model, MatchedBy]:
    """Return the model that the name means and the layer that matched.

    The first layer that matches wins, and within it the first model in the
    platform's order; one that no account may use comes after those that some may, and is
    refused: nothing stands in for a model that there is. The forms of the first three layers keep
    the `#2` of an id. `strict` refuses the layers DEFAULT and FIRST, which need no name.
    Raises MODEL_NOT_FOUND; MODEL_ACCESS_DENIED where no plan of the pool opens the model, NO_ACCOUNT where
    the accounts that may use it are out of use.
    """
    found = listing.called.get(name)
    if isinstance(found, Barred):
        raise ServiceError(found.reason, found.why)
    if found is not None:
        return found
    if strict or not listing.models:
        raise ServiceError(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, _why_not(listing, name))
    for model in listing.models:
        if model.is_default:
            return model, MatchedBy.MATCHED_BY_DEFAULT
    return listing.models[0], MatchedBy.MATCHED_BY_FIRST


def _why_not(listing: Listing, name: str) -> str:
    if not listing.models:
        return "the platform lists no models that an account of the pool may use"
    if not name:
        return "name a model; ModelService.List and GET /v1/models tell what there is"
    asked = name[:_NAME_CHARS]
    meant = _close_to(listing.models, asked)
    hint = (
        f"did you mean {', '.join(meant)}?"
        if meant
        else "ModelService.List and GET /v1/models tell which are"
    )
    return f"no model is called {asked!r}; {hint}"


def _close_to(models: Sequence[Model], asked: str) -> list[str]:
    """Return the ids of the models whose names look most like what was asked for."""
    names: dict[str, str] = {}
    for model in models:
        for _, form in LAYERS:
            if spelled := form(model).lower():
                names.setdefault(spelled, model.id)
    close = difflib.get_close_matches(asked.lower(), names, n=4 * _CLOSE, cutoff=0.6)
    return list(dict.fromkeys(names[spelled] for spelled in close))[:_CLOSE]
