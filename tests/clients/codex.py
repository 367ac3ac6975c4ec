"""Codex CLI without a screen: `codex exec --json` in a home of its own, which knows only Howler."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.clients.client import HERE, NOWHERE
from tests.clients.program import Run, run

_PROGRAM: Final = HERE / "node" / "node_modules" / ".bin" / "codex"
_CONFIG: Final = """
model = "{model}"
model_provider = "howler"
web_search = "disabled"
check_for_update_on_startup = false
approval_policy = "never"
{settings}

[analytics]
enabled = false

[features]
{features}

[model_providers.howler]
name = "howler"
base_url = "{base_url}"
wire_api = "responses"
env_key = "HOWLER_TEST_KEY"
request_max_retries = 1
stream_max_retries = 1
{provider}
"""


class CodexRun(Run):
    """A run of Codex."""

    @property
    def thread(self) -> str:
        """The id by which it is resumed."""
        (started,) = self.of("thread.started")
        return str(started["thread_id"])

    @property
    def texts(self) -> list[str]:
        """What the agent said."""
        return [item["text"] for item in self.items("agent_message")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a type."""
        return [event for event in self.events if event["type"] == kind]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return the finished items of a type."""
        return [event["item"] for event in self.of("item.completed") if event["item"]["type"] == kind]


@dataclass(frozen=True)
class Codex:
    """A Codex of its own: what it remembers lies below `home`, its work in `home/work`.

    `settings`, `features` and `provider` are lines of its configuration.
    """

    home: Path
    base_url: str
    model: str = "default"
    settings: str = ""
    features: str = ""
    provider: str = ""
    arguments: tuple[str, ...] = field(default=("exec", "--json", "--skip-git-repo-check"))

    async def run(self, *arguments: str) -> CodexRun:
        """Run `codex exec` with the arguments, the prompt last."""
        work = self.home / "work"
        work.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            base_url=self.base_url,
            model=self.model,
            settings=self.settings,
            features=self.features,
            provider=self.provider,
        )
        (self.home / "config.toml").write_text(config, "utf-8")
        told = await run(str(_PROGRAM), *self.arguments, *arguments, cwd=work, env=self._environment())
        return CodexRun(*told)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CODEX_HOME": str(self.home),
            "HOWLER_TEST_KEY": "any",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }
