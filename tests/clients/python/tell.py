"""What every script here shares.

`python SCRIPT BASE_URL API MODE PROMPT…` runs the prompts as the turns of one conversation and tells in one
JSON line what came of it: API is chat or responses, MODE is whole or stream.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Asked:
    """The command line."""

    base_url: str
    api: str
    mode: str
    prompts: list[str]

    @classmethod
    def of(cls, arguments: list[str]) -> "Asked":
        """Read it."""
        base_url, api, mode, *prompts = arguments
        return cls(base_url, api, mode, prompts)


@dataclass
class Told:
    """What a turn came to: its text, and the tools that the client was asked to run."""

    text: str
    tools: list[str] = field(default_factory=list)


def tell(asked: Asked, turn: Callable[[str], Awaitable[Told]]) -> None:
    """Run the turns and print what came of them."""
    asyncio.run(_tell(asked, turn))


async def _tell(asked: Asked, turn: Callable[[str], Awaitable[Told]]) -> None:
    told: dict[str, Any] = {"texts": [], "tools": [], "error": None}
    try:
        for prompt in asked.prompts:
            outcome = await turn(prompt)
            told["texts"].append(outcome.text)
            told["tools"] += outcome.tools
    except Exception as error:  # whatever the client makes of a failure is what is asked for
        status = getattr(error, "status_code", None)
        told["error"] = {"name": type(error).__name__, "message": str(error), "status": status}
    sys.stdout.write(json.dumps(told) + "\n")
