"""docs/configuration.md says what the programs take."""

import re
from dataclasses import fields
from pathlib import Path

import sandbox.settings
from docs.settings_tables import PAGE, PROGRAMS, page
from tests.support.process import ROOT

_ROW = re.compile(r"^\| `(?P<name>HOWLER_\w+)` \| (?P<default>\S+) \| (?P<text>.+) \|$", re.MULTILINE)


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    _, _, rest = PAGE.read_text().partition(f"## {heading}\n")
    return rest.partition("\n## ")[0]


def test_tables_are_what_make_docs_writes() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run make docs"


def test_every_setting_is_explained() -> None:
    for program, settings in PROGRAMS.items():
        rows = list(_ROW.finditer(section(f"The {program}")))
        assert len(rows) == len(settings.model_fields)
        for row in rows:
            assert row["text"].strip(), row["name"]


def test_sandbox_table_has_its_names_and_defaults() -> None:
    told = {row["name"]: row["default"] for row in _ROW.finditer(section("The sandbox"))}
    taken = {}
    for field in fields(sandbox.settings.Settings):
        default = field.default
        if field.name == "accounts":
            default = Path(str(default)).relative_to(ROOT)
        if isinstance(default, float):
            default = f"{default:g}"
        taken[f"HOWLER_SANDBOX_{field.name.upper()}"] = f"`{default}`" if default else "—"
    assert told == taken
