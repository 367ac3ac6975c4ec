"""Chooses what the agent plays: a scenario that the prompt names, else the plain answer."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sandbox.agent.step import Scene, Script

_COMMAND: Final = re.compile(r"/([a-z][a-z0-9]*)\b[ \t]*(.*)", re.DOTALL)
# A gateway that writes a conversation out may label its lines.
_LABEL: Final = re.compile(r"^(?:user|human)\s*:\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """A scenario as the prompt names it: `/pace 20 100` is `pace` with numbers 20 and 100."""

    name: str = ""
    argument: str = ""

    def number(self, index: int, default: float, most: float) -> float:
        """Return the number at `index` of the argument, at most `most`, or the default."""
        words = self.argument.split()
        try:
            value = float(words[index])
        except (IndexError, ValueError):
            return default
        return default if math.isnan(value) else min(max(value, 0.0), most)

    def count(self, index: int, default: int, most: int) -> int:
        """Return the whole number at `index` of the argument."""
        return int(self.number(index, default, most))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: what it shows, in one line, and the script."""

    name: str
    usage: str
    meaning: str
    play: Callable[[Scene, Command], Script]


class Repertoire:
    """All scenarios, by name. The one without a name answers every other prompt."""

    def __init__(self) -> None:
        self._scenarios: dict[str, Scenario] = {}

    def add(
        self, usage: str, meaning: str
    ) -> Callable[[Callable[[Scene, Command], Script]], Callable[[Scene, Command], Script]]:
        """Register a script under the first word of `usage`."""

        def register(play: Callable[[Scene, Command], Script]) -> Callable[[Scene, Command], Script]:
            name = usage.split(maxsplit=1)[0].removeprefix("/") if usage.startswith("/") else ""
            self._scenarios[name] = Scenario(name, usage, meaning, play)
            return play

        return register

    def __contains__(self, name: str) -> bool:
        """Tell whether a scenario has the name."""
        return name in self._scenarios

    def __or__(self, other: "Repertoire") -> "Repertoire":
        """Return what both can play; a scenario of `other` wins over one of the same name."""
        union = Repertoire()
        union._scenarios = self._scenarios | other._scenarios
        return union

    def choose(self, prompt: str) -> Command:
        """Return what a prompt names: at its start, else at the start of its last non-empty line."""
        lines = [line for line in prompt.splitlines() if line.strip()]
        for candidate in (prompt, lines[-1] if lines else ""):
            match = _COMMAND.match(_LABEL.sub("", candidate.lstrip()))
            if match and match[1] in self._scenarios:
                return Command(match[1], match[2].strip())
        return Command()

    def script(self, scene: Scene) -> Script:
        """Return the script for a turn, from task-started to task-ended."""
        command = self.choose(scene.prompt)
        return self._scenarios[command.name].play(scene, command)

    def described(self) -> list[dict[str, str]]:
        """Return every scenario with its usage and meaning."""
        return [{"usage": one.usage, "meaning": one.meaning} for one in self._scenarios.values()]
