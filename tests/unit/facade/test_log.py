"""The log's lines are those that logging itself would write."""

import io
import logging
import sys

import pytest

from facade.log import Lines, Record, Stream

AS_LOGGING_WOULD = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")


def raised() -> object:
    try:
        raise ValueError("a bug")
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize(
    ("msg", "args", "exc_info"),
    [
        ("%s %d", ("GET", 200), None),
        ("100 %", (), None),
        ("of %(name)s", ({"name": "it"},), None),
        (ValueError("no text"), (), None),
        ("incident %s", ("x",), raised()),
    ],
)
@pytest.mark.parametrize("created", [1.0, 1_790_000_000.9999, 1_790_000_001.0005])
def test_a_line(msg: object, args: tuple[object, ...], exc_info: object, created: float) -> None:
    given = ("facade.app", logging.WARNING, "app.py", 7, msg, args, exc_info)
    record, usual = Record(*given), logging.LogRecord(*given)  # type: ignore[arg-type]
    record.created = usual.created = created
    usual.msecs = int((created - int(created)) * 1000)
    assert Lines().format(record) == AS_LOGGING_WOULD.format(usual)


def test_a_line_that_cannot_be_told_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream(io.StringIO())
    stream.setFormatter(Lines())
    assert stream.handle(Record("facade", logging.INFO, "", 0, "%d", ("x",), None))
    assert "TypeError" in capsys.readouterr().err
