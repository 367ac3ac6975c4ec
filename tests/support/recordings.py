"""Requests that real clients sent (openai-surface.md), vendors' prompts cut to a line."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parents[1] / "conformance" / "requests"


@dataclass(frozen=True)
class Recording:
    """One request."""

    name: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    def raw(self) -> bytes:
        """Return the body as it goes over the wire."""
        return json.dumps(self.body).encode()


def recording(name: str) -> Recording:
    """Return one by its name."""
    told = json.loads((_FOLDER / f"{name}.json").read_text())
    return Recording(name, told["path"], told["headers"], told["body"])


def recordings(path: str) -> list[Recording]:
    """Return all that went to a path."""
    every = [recording(file.stem) for file in sorted(_FOLDER.glob("*.json"))]
    return [one for one in every if one.path == path]
