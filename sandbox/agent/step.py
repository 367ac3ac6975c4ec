"""What a script may ask of the machine that plays it."""

from collections.abc import Generator
from dataclasses import dataclass

from sandbox.wire.prompt import Reply


@dataclass(frozen=True, slots=True)
class Emit:
    """A frame of the turn, stored and told live. `payload` is JSON, None for no data."""

    type: str
    kind: str = ""
    payload: object = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for so many seconds; infinity for good."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Wait for the reply to a question that was told; None is sent back when it expires."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file of the repository, and tell it as a task-event."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class OpenPort:
    """Open a port of the machine, and tell it as a task-event."""

    port: int


@dataclass(frozen=True, slots=True)
class Crash:
    """The agent dies: the turn ends without `task-ended`."""


Step = Emit | Pause | Ask | Write | OpenPort | Crash
Script = Generator[Step, Reply | None, None]


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file that came with the prompt; `content` is None where there is none at its address."""

    filename: str
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the agent knows when a turn begins.

    `turn` counts from 1 over the life of the task, `earlier` holds the prompts
    that this session remembers, oldest first.
    """

    prompt: str
    attachments: tuple[Enclosed, ...] = ()
    turn: int = 1
    earlier: tuple[str, ...] = ()
    system_prompt: str = ""
    model: str = ""
