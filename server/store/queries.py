"""Reads the named queries of `sql/*.sql` and of one kind of database, `sql/<dialect>/*.sql`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$")
_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]+)")
_FOLDER: Final = Path(__file__).with_name("sql")


def load_queries(dialect: str, folder: Path = _FOLDER) -> Mapping[str, str]:
    """Return every query by its name. Raises ValueError for a name that is used twice or has no query."""
    queries: dict[str, str] = {}
    for path in [*sorted(folder.glob("*.sql")), *sorted((folder / dialect).glob("*.sql"))]:
        name, lines = "", list[str]()
        for line in [*path.read_text(encoding="utf-8").splitlines(), "-- name: end"]:
            if match := _NAME.match(line):
                if name:
                    queries[name] = _query(f"{path.name}: {name}", lines)
                name, lines = match.group(1), []
                if name in queries:
                    raise ValueError(f"{path.name}: {name} is defined twice")
            elif not line.startswith("--"):
                lines.append(line)
    return queries


def numbered(query: str, mark: str) -> tuple[str, tuple[str, ...]]:
    """Return a query with each `:name` as `mark` and a number from 1, and the names in that order."""
    numbers: dict[str, int] = {}
    text = _PARAMETER.sub(lambda found: f"{mark}{numbers.setdefault(found[1], len(numbers) + 1)}", query)
    return text, tuple(numbers)


def _query(where: str, lines: list[str]) -> str:
    text = "\n".join(lines).strip()
    if not text.endswith(";"):
        raise ValueError(f"{where} is not a statement")
    return text
