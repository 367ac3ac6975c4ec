"""Gives models the ids that callers use, and says by what else they are called. PURE."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from howler.model.v1.model_service_pb2 import MatchedBy, Model

_PREFIX: Final = "monkeycode/"
_NAMELESS: Final = "Other"  # the platform's own word for a provider that it has no word for


def named(models: Iterable[Model]) -> tuple[Model, ...]:
    """Set the models' ids and return them in their order.

    An id is `monkeycode/<provider>/<model>`. Of several models called so the
    oldest keeps it, the others end in `#2`, `#3` … by creation time, then by
    upstream id; so a name keeps its meaning while models come.
    """
    listed = tuple(models)
    called: defaultdict[str, list[Model]] = defaultdict(list)
    for model in listed:
        called[f"{_PREFIX}{model.provider or _NAMELESS}/{model.model}"].append(model)
    taken = set(called)
    for name, namesakes in called.items():
        number = 1
        for model in sorted(namesakes, key=_age):
            model.id = name
            while number > 1 and (candidate := f"{name}#{number}") in taken:
                number += 1  # some provider calls a model so itself
            if number > 1:
                model.id = candidate
                taken.add(candidate)
            number += 1
    return listed


def _age(model: Model) -> tuple[int, str]:
    return model.create_time.seconds, model.upstream_id


def _provider_model(model: Model) -> str:
    return model.id.removeprefix(_PREFIX)


def _bare_model(model: Model) -> str:
    """Return the id without prefix and provider; neither has to be without a slash."""
    return _provider_model(model)[len(_provider_of(model)) + 1 :]


def _provider_of(model: Model) -> str:
    return model.provider or _provider_model(model).partition("/")[0]


LAYERS: Final[tuple[tuple[MatchedBy, Callable[[Model], str]], ...]] = (
    (MatchedBy.MATCHED_BY_ID, lambda model: model.id),
    (MatchedBy.MATCHED_BY_PROVIDER_MODEL, _provider_model),
    (MatchedBy.MATCHED_BY_MODEL, _bare_model),
    (MatchedBy.MATCHED_BY_DISPLAY_NAME, lambda model: model.display_name),
)
"""What a model is called, layer by layer."""
