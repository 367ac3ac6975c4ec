"""Says which model a name means: the six layers of MatchedBy. PURE."""

import difflib
from collections.abc import Callable, Sequence
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import MatchedBy, Model

from server.catalog.listing import Listing
from server.catalog.names import PREFIX
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
    if name:
        for layer, form in _LAYERS:
            for model in listing.models:
                if form(model) == name:
                    return model, layer
            for barred in listing.barred:
                if form(barred.model) == name:
                    raise ServiceError(barred.reason, barred.why)
    if strict or not listing.models:
        raise ServiceError(ErrorReason.ERROR_REASON_MODEL_NOT_FOUND, _why_not(listing, name))
    for model in listing.models:
        if model.is_default:
            return model, MatchedBy.MATCHED_BY_DEFAULT
    return listing.models[0], MatchedBy.MATCHED_BY_FIRST


def _provider_model(model: Model) -> str:
    return model.id.removeprefix(PREFIX)


def _bare_model(model: Model) -> str:
    """Return the id without prefix and provider; neither has to be without a slash."""
    return _provider_model(model)[len(_provider_of(model)) + 1 :]


def _provider_of(model: Model) -> str:
    return model.provider or _provider_model(model).partition("/")[0]


_LAYERS: Final[tuple[tuple[MatchedBy, Callable[[Model], str]], ...]] = (
    (MatchedBy.MATCHED_BY_ID, lambda model: model.id),
    (MatchedBy.MATCHED_BY_PROVIDER_MODEL, _provider_model),
    (MatchedBy.MATCHED_BY_MODEL, _bare_model),
    (MatchedBy.MATCHED_BY_DISPLAY_NAME, lambda model: model.display_name),
)


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
        for _, form in _LAYERS:
            if spelled := form(model).lower():
                names.setdefault(spelled, model.id)
    close = difflib.get_close_matches(asked.lower(), names, n=4 * _CLOSE, cutoff=0.6)
    return list(dict.fromkeys(names[spelled] for spelled in close))[:_CLOSE]
