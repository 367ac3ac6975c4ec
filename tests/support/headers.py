"""The goldens of the header profiles: tests/golden/headers/<kind>.<setting>.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[1] / "golden" / "headers"


def golden(kind: str, setting: str, origin: str) -> dict[str, str]:
    """Return a golden as it reads toward a platform at `origin`."""
    text = _path(kind, setting).read_text("utf-8").replace("{origin}", origin)
    read: dict[str, str] = json.loads(text)
    return read


def rewrite(kind: str, setting: str, profile: Mapping[str, str]) -> None:
    """Make a profile its own golden."""
    _path(kind, setting).write_text(json.dumps(dict(profile), indent=2) + "\n", "utf-8")


def _path(kind: str, setting: str) -> Path:
    return FOLDER / f"{kind}.{setting}.json"
