"""opencode without a screen: `opencode run --format json` in a home of its own, which knows only Howler."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clients.client import NOWHERE, VENVS
from tests.clients.program import Run, run

_PROGRAM: Final = VENVS / "opencode-1.18.33" / "node_modules" / ".bin" / "opencode"


class OpencodeRun(Run):
    """A run of opencode."""

    @property
    def texts(self) -> list[str]:
        """What the agent said."""
        return [event["part"]["text"] for event in self.events if event["type"] == "text"]

    @property
    def tools(self) -> list[str]:
        """The tools that were run here."""
        return [event["part"]["tool"] for event in self.events if event["type"] == "tool_use"]


@dataclass(frozen=True)
class Opencode:
    """An opencode of its own: what it remembers lies below `home`, its work in `home/work`.

    `package` is what it speaks to its provider by.
    """

    home: Path
    base_url: str
    package: str = "@ai-sdk/openai-compatible"

    async def run(self, prompt: str, *arguments: str) -> OpencodeRun:
        """Run `opencode run` with the arguments and the prompt, which it would quote among them."""
        work = self.home / "work"
        work.mkdir(parents=True, exist_ok=True)
        (work / "opencode.json").write_text(json.dumps(self._config()), "utf-8")
        command = (str(_PROGRAM), "run", "--format", "json", *arguments)
        return OpencodeRun(*await run(*command, cwd=work, env=self._environment(), said=prompt))

    def _config(self) -> dict[str, Any]:
        provider = {
            "npm": self.package,
            "name": "Howler",
            "options": {"baseURL": self.base_url, "apiKey": "any"},
            "models": {"default": {"name": "default"}},
        }
        model = "howler/default"
        return {
            "provider": {"howler": provider},
            "model": model,
            "small_model": model,
            "autoupdate": False,
            "share": "disabled",
        }

    def _environment(self) -> dict[str, str]:
        places = ("CONFIG", "DATA", "CACHE", "STATE")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            **{f"XDG_{place}_HOME": str(self.home / place.lower()) for place in places},
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }
