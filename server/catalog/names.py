"""Gives models the ids that callers use. PURE."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from howler.model.v1.model_service_pb2 import Model

PREFIX: Final = "monkeycode/"
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
        called[f"{PREFIX}{model.provider or _NAMELESS}/{model.model}"].append(model)
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
