"""The clients that people use, each a small script that runs the turns it is given (node/, python/)."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clients.program import run

HERE: Final = Path(__file__).parent
VENVS: Final = Path(__file__).parents[2] / "var" / "clients"
"""Where `make test-clients` puts the environments of the Python clients, and opencode."""

NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy that nobody serves: whatever is not on loopback is not reached."""


@dataclass(frozen=True)
class Outcome:
    """What a client made of its turns."""

    texts: list[str]
    tools: list[str]
    error: dict[str, Any] | None


@dataclass(frozen=True)
class Client:
    """A client by name, and the command that runs it."""

    name: str
    command: tuple[str, ...]

    async def run(self, base_url: str, api: str, mode: str, *prompts: str) -> Outcome:
        """Run the prompts as the turns of one conversation."""
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "OPENAI_API_KEY": "any"}
        told, stderr, _ = await run(*self.command, base_url, api, mode, *prompts, env=env)
        lines = told.strip().splitlines()
        assert lines, f"{self.name} told nothing: {stderr[-2000:]}"
        return Outcome(**json.loads(lines[-1]))


def _node(name: str, script: str, *options: str) -> Client:
    return Client(name, ("node", *options, str(HERE / "node" / script)))


def _python(name: str, venv: str, script: str) -> Client:
    return Client(name, (str(VENVS / venv / "bin" / "python"), str(HERE / "python" / script)))


AGENT_TOOLS: Final = _python("agents-python with a tool", "agents", "agents_tools.py")
AGENT_SESSION: Final = _python("agents-python with a session", "agents", "agents_session.py")
CLIENTS: Final = (
    _node("openai-node", "openai.mjs"),
    _node("ai-sdk", "ai_sdk.mjs"),
    _node("agents-js", "agents.mjs"),
    _python("agents-python", "agents", "agents_client.py"),
    _python("langchain", "agents", "langchain_client.py"),
    _python("litellm", "litellm", "litellm_client.py"),
)
SOCKETS: Final = (
    _node("openai-node over a WebSocket", "openai_socket.mjs"),
    _node("agents-js over a WebSocket", "agents_socket.mjs", "--experimental-websocket"),
    _python("agents-python over a WebSocket", "agents", "agents_socket.py"),
)
