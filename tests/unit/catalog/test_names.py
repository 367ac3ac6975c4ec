"""The ids that callers use: `monkeycode/provider/model`, namesakes numbered by age."""

import random

from hypothesis import given
from hypothesis import strategies as st

from server.catalog.names import named
from tests.unit.catalog.models import model


def ids(*models: tuple[str, str, str, int]) -> list[str]:
    return [
        one.id for one in named([model(i, provider, name, created=at) for i, provider, name, at in models])
    ]


def test_a_name() -> None:
    assert ids(("u", "OpenAI", "gpt-x", 1)) == ["monkeycode/OpenAI/gpt-x"]
    assert ids(("u", "", "gpt-x", 1)) == ["monkeycode/Other/gpt-x"]


def test_namesakes_are_numbered_by_creation_time_then_by_upstream_id() -> None:
    named_so = ids(("c", "P", "m", 5), ("b", "P", "m", 7), ("a", "P", "m", 7), ("d", "Q", "m", 1))
    assert named_so == ["monkeycode/P/m", "monkeycode/P/m#3", "monkeycode/P/m#2", "monkeycode/Q/m"]


def test_the_order_of_the_list_does_not_matter_to_the_names() -> None:
    rows = [(f"u{n}", "P", "m", n // 2) for n in range(8)]
    straight = dict(zip((row[0] for row in rows), ids(*rows), strict=True))
    random.Random(7).shuffle(rows)
    assert dict(zip((row[0] for row in rows), ids(*rows), strict=True)) == straight


def test_a_model_that_calls_itself_so() -> None:
    named_so = ids(("a", "P", "m", 1), ("b", "P", "m", 2), ("c", "P", "m#2", 3), ("d", "P", "m", 4))
    assert named_so == ["monkeycode/P/m", "monkeycode/P/m#3", "monkeycode/P/m#2", "monkeycode/P/m#4"]


WORDS = st.sampled_from(["m", "m#2", "m#3", "a/m"])


@given(st.lists(st.tuples(st.sampled_from(["", "P", "P/a"]), WORDS, st.integers(0, 3)), max_size=12))
def test_ids_are_unique(rows: list[tuple[str, str, int]]) -> None:
    given_ids = ids(*[(f"u{n}", provider, name, at) for n, (provider, name, at) in enumerate(rows)])
    assert len(set(given_ids)) == len(rows)
