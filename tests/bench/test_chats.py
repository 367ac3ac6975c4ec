"""The table of a chat's first and second turn."""

from bench.chats import Turns, page, section


def test_the_table_tells_the_middle_and_the_ends() -> None:
    told = section([Turns("first", [3100.0, 3000.0, 3900.0]), Turns("second", [30.4, 20.0])])
    assert "| first | 3,100 | 3,000 | 3,900 |" in told
    assert "| second | 30 | 20 | 30 |" in told


def test_the_page_tells_the_table_and_how_busy_the_machine_was() -> None:
    measured = [Turns("second", [30.4])]
    told = page(measured, 0.26)
    assert told.startswith("# ")
    assert section(measured) in told
    assert "load average 0.3 before" in told
