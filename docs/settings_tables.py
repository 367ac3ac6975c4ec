"""Writes the tables of docs/configuration.md from the settings of server and facade.

The text between a table's markers is replaced; a test compares it. The sandbox's
table is written by hand, and its names and defaults are compared alone.
"""

from pathlib import Path
from typing import Any, Final, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings

import facade.config
import server.config

PAGE: Final = Path(__file__).with_name("configuration.md")
PROGRAMS: Final[dict[str, type[BaseSettings]]] = {
    "server": server.config.Settings,
    "facade": facade.config.Settings,
}


def table(settings: type[BaseSettings]) -> str:
    """Return the Markdown table of one program's settings."""
    prefix = settings.model_config.get("env_prefix", "")
    rows = ["| setting | default | what it says |", "|---|---|---|"]
    for name, field in settings.model_fields.items():
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        choices = [f"`{value}`" for value in get_args(field.annotation) if isinstance(value, str)]
        if choices:
            text = f"{text} One of {', '.join(choices)}."
        rows.append(f"| `{prefix}{name.upper()}` | {_default(field.default)} | {text} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`" if value not in ("", None) else "—"


def page(text: str) -> str:
    """Return the page with both tables as the settings give them."""
    for name, settings in PROGRAMS.items():
        begin, end = f"<!-- settings: {name} -->", "<!-- end -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"{PAGE.name} has no place for the settings of the {name}")
        text = f"{before}{begin}\n{table(settings)}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"docs: wrote {PAGE}")
