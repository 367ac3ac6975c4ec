"""The credit of one turn on a Relay."""

from server.turn.window import INITIAL_BYTES, Window


def test_what_is_sent_is_spent_and_what_is_granted_comes_back() -> None:
    window = Window(100)
    window.spend(60)
    window.spend(70)
    assert window.credit == -30
    window.grant(130)
    assert window.credit == 100


def test_a_window_starts_with_256_kib() -> None:
    assert Window().credit == INITIAL_BYTES == 256 << 10
