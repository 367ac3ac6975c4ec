"""The credit of one turn on a Relay."""

from hypothesis import given
from hypothesis import strategies as st

from server.turn.window import INITIAL_BYTES, Window


def test_what_is_sent_is_spent_and_what_is_granted_confirms() -> None:
    window = Window(100)
    window.spend(60, next_seq=4)
    window.spend(70, next_seq=5)
    assert window.credit == -30
    assert window.grant(59) is None
    assert window.grant(1) == 4
    assert window.grant(70) == 5
    assert window.credit == 100


def test_a_window_starts_with_256_kib() -> None:
    assert Window().credit == INITIAL_BYTES == 256 << 10


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.integers(1, 700))
def test_however_grants_are_cut_they_confirm_all_in_order(sizes: list[int], step: int) -> None:
    window = Window()
    for seq, size in enumerate(sizes, 1):
        window.spend(size, seq)
    left, confirmed = sum(sizes), 0
    while left:
        told = window.grant(min(step, left))
        left -= min(step, left)
        arrived = sum(sizes) - left
        if told is not None:
            assert told > confirmed
            confirmed = told
        assert sum(sizes[:confirmed]) <= arrived < sum(sizes[: confirmed + 1]) or confirmed == len(sizes)
    assert confirmed == len(sizes)
    assert window.credit == INITIAL_BYTES
