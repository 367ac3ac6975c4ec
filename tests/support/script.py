"""What one socket of the scripted upstream says: steps, and the frames that they are made of."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Pause:
    """Say nothing for some seconds."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """Say nothing until the client sent a frame of this type on this socket."""

    type: str


@dataclass(frozen=True)
class Close:
    """Close the socket in order, with a code."""

    code: int


@dataclass(frozen=True)
class Drop:
    """Cut the connection without a word."""


Step = str | Pause | Until | Close | Drop
Script = Sequence[Step]
"""What one socket says. After its last step the socket stays open and silent, as the platform's does."""


def frame(name: str, payload: Any = None, *, kind: str = "", **others: Any) -> str:
    """Return a frame in the platform's own dialect: `data` is base64 of JSON, or null (§6.2)."""
    data = None if payload is None else base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps({"type": name, "data": data, "kind": kind, **others})


def update(name: str, **fields: Any) -> str:
    """Return the frame of a session update (§7)."""
    return frame("task-running", {"update": {"sessionUpdate": name, **fields}}, kind="acp_event")


def says(text: str) -> str:
    """Return the frame of a piece of the answer."""
    return update("agent_message_chunk", content={"type": "text", "text": text})


STARTED: Final = frame("task-started")
ENDED: Final = frame("task-ended")
PING: Final = frame("ping", timestamp=0)
TURN: Final[Script] = (STARTED, says("Hi"), ENDED)
"""The shortest turn that says something."""
