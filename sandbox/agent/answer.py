"""What the agent says to a prompt that names no scenario."""

import hashlib
import re
from collections.abc import Iterator

from sandbox.agent.step import Enclosed, Scene

_QUOTED = 200  # characters of a prompt that are quoted
_REMEMBERED = 60  # characters of an earlier prompt that are quoted
_WORDS = re.compile(r"\S*\s*\S+\s*|\s+")


def sentences(scene: Scene) -> Iterator[str]:
    """Yield the sentences of the answer; together they tell all that the agent received."""
    yield f"You said: “{quote(scene.prompt)}”."
    if len(scene.prompt) > _QUOTED:
        digest = hashlib.sha256(scene.prompt.encode()).hexdigest()
        yield f"That is {len(scene.prompt)} characters, SHA-256 {digest}."
    if scene.earlier:
        before = " and ".join(f"“{_shorten(prompt, _REMEMBERED)}”" for prompt in scene.earlier[-3:])
        yield f"This is turn {scene.turn}; before that you said {before}."
    else:
        yield f"This is turn {scene.turn}."
    if scene.system_prompt:
        yield f"The system prompt has {len(scene.system_prompt)} characters."
    if scene.attachments:
        yield f"Attached: {', '.join(map(_described, scene.attachments))}."


def _described(enclosed: Enclosed) -> str:
    if enclosed.content is None:
        return f"{enclosed.filename} (nothing there)"
    digest = hashlib.sha256(enclosed.content).hexdigest()
    return f"{enclosed.filename} ({len(enclosed.content)} bytes, SHA-256 {digest})"


def quote(text: str) -> str:
    """Return at most the first 200 characters of a prompt."""
    return _shorten(text, _QUOTED)


def pieces(text: str) -> list[str]:
    """Cut a text into chunks of two words, as a model streams it; joined they are the text."""
    return _WORDS.findall(text)


def tokens(text: str) -> int:
    """Count tokens as the sandbox does: bytes / 4, rounded up."""
    return -(-len(text.encode()) // 4)


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"
