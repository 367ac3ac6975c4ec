"""P5.1: the six layers, in their order."""

import pytest
from howler.model.v1.model_service_pb2 import MatchedBy

from server.catalog.listing import Offer, merged
from server.catalog.resolve import resolve
from server.errors import ServiceError, reason_name
from tests.unit.catalog.models import LISTED, listing, model


def found(name: str, *, strict: bool = True) -> tuple[str, str]:
    match, layer = resolve(listing(LISTED), name, strict=strict)
    return match.upstream_id, MatchedBy.Name(layer).removeprefix("MATCHED_BY_")


@pytest.mark.parametrize(
    ("name", "upstream_id", "layer"),
    [
        ("monkeycode/OpenAI/gpt-x", "u3", "ID"),
        ("monkeycode/OpenAI/gpt-x#2", "u1", "ID"),
        ("monkeycode/OpenAI/vendor/free", "u4", "ID"),
        ("OpenAI/gpt-x", "u3", "PROVIDER_MODEL"),
        ("OpenAI/gpt-x#2", "u1", "PROVIDER_MODEL"),
        ("DeepSeek/gpt-x", "u2", "PROVIDER_MODEL"),  # and not u5, whose display name it is
        ("gpt-x", "u2", "MODEL"),  # the first in the platform's order; not u4, whose display name it is
        ("gpt-x#2", "u1", "MODEL"),
        ("vendor/free", "u4", "MODEL"),
        ("kimi", "u5", "MODEL"),
        ("Big One", "u1", "DISPLAY_NAME"),
        ("Old One", "u3", "DISPLAY_NAME"),
    ],
)
def test_layers_one_to_four(name: str, upstream_id: str, layer: str) -> None:
    """P5.1."""
    assert found(name) == found(name, strict=False) == (upstream_id, layer)


@pytest.mark.parametrize("name", ["", "default", "auto", "no such model", "gpt", "MONKEYCODE/openai/gpt-x"])
def test_layer_five_is_the_default_model(name: str) -> None:
    """P5.1."""
    assert found(name, strict=False) == ("u3", "DEFAULT")


def test_layer_six_is_the_first_model() -> None:
    """P5.1."""
    undefaulted = [one for one in LISTED if not one.is_default]
    match, layer = resolve(listing(undefaulted), "", strict=False)
    assert (match.upstream_id, layer) == ("u1", MatchedBy.MATCHED_BY_FIRST)


@pytest.mark.parametrize("name", ["", "default", "auto", "no such model", "free", "gpt-x#9"])
def test_strict_refuses_the_last_two_layers(name: str) -> None:
    """P5.1."""
    with pytest.raises(ServiceError) as raised:
        found(name)
    assert reason_name(raised.value.reason) == "MODEL_NOT_FOUND"


def test_a_model_that_is_called_auto_is_meant_by_it() -> None:
    match, layer = resolve(listing([*LISTED, model("u9", "P", "x", "auto")]), "auto", strict=False)
    assert (match.upstream_id, layer) == ("u9", MatchedBy.MATCHED_BY_DISPLAY_NAME)


def test_nothing_listed() -> None:
    with pytest.raises(ServiceError, match="lists no models"):
        resolve(listing([]), "", strict=False)


def test_close_names_are_suggested() -> None:
    with pytest.raises(ServiceError) as raised:
        found("monkeycode/openai/gpt-y")
    assert "did you mean monkeycode/OpenAI/gpt-x" in raised.value.message
    assert raised.value.message.count("monkeycode/") <= 1 + 3
    with pytest.raises(ServiceError, match="did you mean monkeycode/Moonshot/kimi"):
        found("Kimi")


def test_an_absurd_name_is_neither_compared_nor_quoted_whole() -> None:
    with pytest.raises(ServiceError) as raised:
        found("z\n" * 1_000_000)
    assert len(raised.value.message) < 600
    assert raised.value.message.isprintable()
    assert "GET /v1/models" in raised.value.message


BASIC = merged(
    [
        Offer(
            "ann",
            (
                model("pro", "P", "monkeycode-pro-1", "Twin"),
                model("any", "P", "any", "Twin"),
                model("ultra", "Q", "monkeycode-ultra-1", default=True),
            ),
            plan="basic",
        )
    ],
    0.0,
)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["monkeycode/Q/monkeycode-ultra-1", "monkeycode-ultra-1"])
def test_nothing_stands_in_for_a_model_whose_plan_nobody_has(name: str, *, strict: bool) -> None:
    with pytest.raises(ServiceError) as raised:
        resolve(BASIC, name, strict=strict)
    assert reason_name(raised.value.reason) == "MODEL_ACCESS_DENIED"
    assert "needs the plan ultra" in raised.value.message
    assert "have basic" in raised.value.message


def test_a_model_that_may_be_used_goes_before_one_that_may_not() -> None:
    """Also where neither is named: a default that nobody may use is none."""
    assert resolve(BASIC, "Twin", strict=True)[0].upstream_id == "any"
    match, layer = resolve(BASIC, "", strict=False)
    assert (match.upstream_id, layer) == ("any", MatchedBy.MATCHED_BY_FIRST)
