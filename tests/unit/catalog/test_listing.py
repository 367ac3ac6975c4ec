"""One listing of what several accounts are offered: who may use what."""

import copy

from server.catalog.listing import Listing, Offer, merged
from server.errors import reason_name
from tests.unit.catalog.models import model

FREE = model("free", "P", "free")
PRO = model("pro", "P", "monkeycode-pro-1", level="pro")
LEVEL = model("level", "P", "gpt", level="pro")


def users(listing: Listing) -> dict[str, set[str]]:
    """Return who may use each model that may be used."""
    return {one.upstream_id: set(listing.accounts[one.upstream_id]) for one in listing.models}


def refusals(listing: Listing) -> dict[str, str]:
    """Return why each of the others may not."""
    return {one.model.upstream_id: reason_name(one.reason) for one in listing.barred}


def test_a_plan_says_who_may_use_a_model() -> None:
    listing = merged([Offer("ann", (FREE, PRO), "basic"), Offer("bob", (FREE, PRO), "pro")], 12.5)
    assert users(listing) == {"free": {"ann", "bob"}, "pro": {"bob"}}
    assert (listing.barred, listing.fetched_at, listing.complete) == ((), 12.5, True)


def test_a_plan_that_is_not_known_bars_nothing() -> None:
    assert users(merged([Offer("ann", (PRO,), "")], 0.0)) == {"pro": {"ann"}}


def test_the_access_level_prefers_and_does_not_bar() -> None:
    """Nobody but the platform knows what it means (§12.8)."""
    ann, bob = Offer("ann", (LEVEL,), "basic"), Offer("bob", (LEVEL,), "pro")
    assert users(merged([ann, bob], 0.0)) == {"level": {"bob"}}
    assert users(merged([ann], 0.0)) == {"level": {"ann"}}


def test_a_private_model_is_its_owners() -> None:
    listing = merged([Offer("ann", (FREE, model("own", "P", "own"))), Offer("bob", (FREE,))], 0.0)
    assert users(listing) == {"free": {"ann", "bob"}, "own": {"ann"}}


def test_a_model_that_no_plan_of_the_pool_opens() -> None:
    listing = merged([Offer("ann", (PRO, FREE), "basic"), Offer("bob", (PRO,), "basic")], 0.0)
    assert users(listing) == {"free": {"ann"}}
    assert refusals(listing) == {"pro": "MODEL_ACCESS_DENIED"}
    (barred,) = listing.barred
    assert barred.why == (
        "monkeycode/P/monkeycode-pro-1 needs the plan pro or a better one; the pool's accounts have basic"
    )


def test_a_model_whose_accounts_are_out_of_play() -> None:
    ann = Offer("ann", (FREE, PRO, model("own", "P", "own")), "ultra", in_play=False)
    listing = merged([ann, Offer("bob", (FREE, PRO), "basic")], 0.0)
    assert users(listing) == {"free": {"bob"}}
    assert refusals(listing) == {"pro": "NO_ACCOUNT", "own": "NO_ACCOUNT"}
    pro, own = listing.barred
    assert "monkeycode-pro-1 (plan pro or better)" in pro.why
    assert "that has monkeycode/P/own can be used now" in own.why


def test_offers_stay_as_they_are() -> None:
    """They are merged again and again; what one account prefers must not stick to another's."""
    ann = Offer("ann", (model("m", "P", "m"),))
    bob = Offer("bob", (model("m", "P", "m", default=True),))
    before = copy.deepcopy((ann, bob))
    assert merged([ann, bob], 0.0).models[0].is_default
    assert (ann, bob) == before
    assert not merged([ann], 0.0).models[0].is_default
    away = Offer("bob", bob.models, in_play=False)
    assert not merged([ann, away], 0.0).models[0].is_default


def test_names_do_not_change_with_plans() -> None:
    twins = (
        model("old", "P", "monkeycode-pro-1", created=1),
        model("new", "P", "monkeycode-pro-1", created=2),
    )
    other = model("other", "P", "m", created=1)
    for plan in ("pro", "basic"):
        listing = merged([Offer("ann", (*twins, other), plan)], 0.0)
        every = [*listing.models, *(one.model for one in listing.barred)]
        assert {one.upstream_id: one.id.rpartition("/")[2] for one in every} == {
            "old": "monkeycode-pro-1",
            "new": "monkeycode-pro-1#2",
            "other": "m",
        }
