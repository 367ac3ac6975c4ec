"""What the platform offers to the pool, at one moment. PURE."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import MatchedBy, Model

from server.catalog.names import LAYERS, named
from server.catalog.plans import covers, plan_needed


@dataclass(frozen=True, slots=True)
class Offer:
    """What one account is offered: its models, in the platform's order, their ids left empty.

    `plan` is the platform's word, empty where it is not known. `in_play` says that turns may come to
    the account, perhaps after a login; it is False for one that only an operator can bring back.
    """

    account_id: str
    models: tuple[Model, ...]
    plan: str = ""
    in_play: bool = True


@dataclass(frozen=True, slots=True)
class Barred:
    """A model that the pool has and no account of it may use now; `reason` and `why` are its refusal."""

    model: Model
    reason: ErrorReason
    why: str


@dataclass(frozen=True)
class Listing:
    """The models that some account of the pool may use, named, in the platform's order.

    `accounts` says which accounts a turn on a model may go to, by its upstream id; `barred` are the
    models that no account may use; `fetched_at` is in unix seconds. It is not `complete` where an account
    did not answer.
    """

    models: tuple[Model, ...]
    accounts: Mapping[str, frozenset[str]]
    fetched_at: float
    barred: tuple[Barred, ...] = ()
    complete: bool = True

    @cached_property
    def called(self) -> Mapping[str, tuple[Model, MatchedBy] | Barred]:
        """What each name means: a model and the first layer that has it, or why it is barred."""
        called: dict[str, tuple[Model, MatchedBy] | Barred] = {}
        for layer, form in LAYERS:
            for model in self.models:
                called.setdefault(form(model), (model, layer))
            for barred in self.barred:
                called.setdefault(form(barred.model), barred)
        called.pop("", None)  # a model without a name
        return called


def merged(offers: Sequence[Offer], fetched_at: float, *, complete: bool = True) -> Listing:
    """Make one listing of what the accounts are offered, in the order in which it comes.

    An account may use a model whose plan its own covers. Among those the ones whose plan covers the
    model's `access_level` too are preferred; where there are none, the others have a try. All models take
    part in the naming, so that a plan's end renames none.
    """
    found: dict[str, Model] = {}
    holders: defaultdict[str, list[Offer]] = defaultdict(list)
    for offer in offers:
        for model in offer.models:
            kept = found.get(model.upstream_id)
            if kept is None:
                kept = found[model.upstream_id] = Model()
                kept.CopyFrom(model)  # the offer outlives this listing and stays as it is
                kept.is_default = False
            kept.is_default |= model.is_default and offer.in_play
            holders[model.upstream_id].append(offer)
    models, barred = list[Model](), list[Barred]()
    accounts: dict[str, frozenset[str]] = {}
    for model in named(found.values()):
        entitled = [offer for offer in holders[model.upstream_id] if covers(offer.plan, plan_needed(model))]
        ready = [offer for offer in entitled if offer.in_play]
        if not ready:
            barred.append(_barred(model, holders[model.upstream_id], entitled))
            continue
        fit = [offer for offer in ready if covers(offer.plan, model.access_level)] or ready
        models.append(model)
        accounts[model.upstream_id] = frozenset(offer.account_id for offer in fit)
    return Listing(tuple(models), accounts, fetched_at, tuple(barred), complete)


def _barred(model: Model, holders: Sequence[Offer], entitled: Sequence[Offer]) -> Barred:
    needed = plan_needed(model)
    if entitled:
        given = f"that may use {model.id} (plan {needed} or better)" if needed else f"that has {model.id}"
        return Barred(
            model,
            ErrorReason.ERROR_REASON_NO_ACCOUNT,
            f"no account {given} can be used now: each is disabled or has no session that the platform takes",
        )
    plans = ", ".join(sorted({offer.plan for offer in holders}))
    return Barred(
        model,
        ErrorReason.ERROR_REASON_MODEL_ACCESS_DENIED,
        f"{model.id} needs the plan {needed} or a better one; the pool's accounts have {plans}",
    )
