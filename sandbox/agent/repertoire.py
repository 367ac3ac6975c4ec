"""All that the agent can play, and what a task's first prompt means for its machine."""

from typing import Final

from sandbox.agent.acts import ACTS
from sandbox.agent.callers import CALLERS, calling_script
from sandbox.agent.plays import PLAYS
from sandbox.agent.scenario import Repertoire
from sandbox.agent.step import Scene, Script

REPERTOIRE: Final[Repertoire] = PLAYS | ACTS | CALLERS
_HOUR: Final = 3_600.0  # seconds; the slowest boot


def script(scene: Scene) -> Script:
    """Return the script for a turn: what the prompt names, or what goes on between the agent and tools."""
    named = REPERTOIRE.choose(scene.prompt).name
    calling = calling_script(scene) if named == "" or named in CALLERS else None
    return calling or REPERTOIRE.script(scene)


def boot_seconds(prompt: str, usual: float) -> float:
    """Return how long the machine of a task with this first prompt boots, in seconds."""
    command = REPERTOIRE.choose(prompt)
    return command.number(0, 3, _HOUR) if command.name == "slowboot" else usual


def boot_fails(prompt: str) -> bool:
    """Tell whether the machine of a task with this first prompt never gets ready."""
    return REPERTOIRE.choose(prompt).name == "bootfail"
