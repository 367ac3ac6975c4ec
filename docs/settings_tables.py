"""Writes the tables of docs/configuration.md from the settings of each program.

The text between a table's markers is replaced; a test compares it.
"""

import re
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings

import facade.config
import sandbox.config
import server.config

PAGE = Path(__file__).with_name("configuration.md")
PROGRAMS: dict[str, type[BaseSettings]] = {
    "server": server.config.Settings,
    "facade": facade.config.Settings,
    "sandbox": sandbox.config.Settings,
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
    """Return the page with every table as the settings give it."""
    for name, settings in PROGRAMS.items():
        begin, end = f"<!-- settings: {name} -->", "<!-- end -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        body = f"{begin}\n{table(settings)}\n{end}"
        text = pattern.sub(lambda _, body=body: body, text, count=1)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"docs: wrote {PAGE}")
