"""What is known of a turn and of what it used."""

import enum
import math
from dataclasses import dataclass, field

from sandbox.wire.prompt import Prompt, Reply


class Ending(enum.Enum):
    """How a turn ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    CRASHED = "crashed"
    LOST = "lost"


@dataclass(slots=True)
class Stats:
    """Tokens of a turn, or cumulative of a task (§5.3)."""

    input_tokens: int = 0
    output_bytes: int = 0
    llm_requests: int = 0

    def tokens(self) -> dict[str, int]:
        """Return the tokens as JSON fields."""
        output_tokens = -(-self.output_bytes // 4)
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": output_tokens,
            "total_tokens": self.input_tokens + output_tokens,
        }

    def add(self, other: "Stats") -> None:
        """Count what another counted, too."""
        self.input_tokens += other.input_tokens
        self.output_bytes += other.output_bytes
        self.llm_requests += other.llm_requests

    def fields(self) -> dict[str, int]:
        """Return the stats as JSON fields."""
        return self.tokens() | {"llm_requests": self.llm_requests}


@dataclass(slots=True)
class Turn:
    """One turn, as the oracle shows it."""

    number: int
    prompt: Prompt
    via: str  # create, new, attach
    ending: Ending = Ending.RUNNING
    replies: list[Reply] = field(default_factory=list)
    used: Stats = field(default_factory=Stats)
    ended_at: float = math.inf  # unix seconds
