"""§3.2, §3.5: which plan opens which model."""

import pytest

from server.catalog.plans import covers, plan_needed
from tests.unit.catalog.models import model


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("monkeycode-pro", "pro"),
        ("monkeycode-pro-1", "pro"),
        ("MonkeyCode-Pro-2", "pro"),
        ("monkeycode-ultra-1", "ultra"),
        ("monkeycode-basic", ""),
        ("gpt-5.5", ""),
        ("vendor/monkeycode-pro", ""),
    ],
)
def test_a_models_name_says_which_plan_it_needs(name: str, plan: str) -> None:
    assert plan_needed(model("u", "P", name, level="ultra")) == plan


@pytest.mark.parametrize(
    ("needed", "opened_by"),
    [
        ("", ("", "basic", "pro", "ultra", "flagship", "enterprise")),
        ("basic", ("", "basic", "pro", "ultra", "flagship", "enterprise")),
        ("pro", ("", "pro", "ultra", "flagship", "enterprise")),
        ("ultra", ("", "ultra", "flagship", "enterprise")),
        ("platinum", ("", "basic", "pro", "ultra", "flagship", "enterprise")),
    ],
)
def test_a_plan_covers_the_lesser_ones_and_an_unknown_word_bars_nothing(
    needed: str, opened_by: tuple[str, ...]
) -> None:
    plans = ("", "basic", "pro", "ultra", "flagship", "enterprise")
    assert tuple(plan for plan in plans if covers(plan, needed)) == opened_by
