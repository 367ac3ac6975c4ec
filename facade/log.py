"""The log, on stderr: a line says when, how grave, who and what. Used by __main__ only.

logging makes a record of twenty fields, most of them about where a line comes from, and takes three locks on
its way to the stream: that is a tenth of a request's CPU, where what is written takes a few fields and none.
"""

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Record(logging.LogRecord):
    """What a line tells of, and no more."""

    def __init__(  # noqa: PLR0917  # as logging makes its own
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: Any,
        exc_info: _Raised | None,
        func: str | None = None,
        sinfo: str | None = None,
    ) -> None:
        self.name, self.levelno, self.levelname = name, level, logging.getLevelName(level)
        self.pathname, self.lineno = pathname, lineno
        one_mapping = len(args) == 1 and isinstance(args[0], Mapping) and args[0]
        self.msg, self.args, self.exc_info = msg, args[0] if one_mapping else args, exc_info
        self.created = time.time()


class Lines(logging.Formatter):
    """Spells them; each second once, for the local time takes a system call."""

    _second = 0
    _spelled = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and behind it what was raised."""
        second = int(record.created)
        if second != self._second:
            self._second, self._spelled = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        millis = (record.created - second) * 1000
        line = f"{self._spelled},{int(millis):03d} {record.levelname} {record.name} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Stream(logging.StreamHandler[TextIO]):
    """Writes each line by one call: stderr has a lock of its own, and flushes at a line's end."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Write it."""
        try:
            self.stream.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)
        return True


def log_to_stderr(level: int) -> None:
    """Have whatever is logged from this level on written to stderr."""
    stream = Stream()
    stream.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[stream])
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.WARNING))
    logging.setLogRecordFactory(Record)
    logging._srcfile = None  # noqa: SLF001  # the documented way: where a line comes from is not looked for
