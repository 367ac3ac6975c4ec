"""The scenarios in which the agent calls tools that its prompt tells of in words, or answers in JSON.

Like a model it knows no more than what it reads: the form of a call and its
nonce stand in the prompt, and so do the results of what it called.
"""

import json
import re
from typing import Final

from sandbox.agent import acp
from sandbox.agent.answer import pieces
from sandbox.agent.manners import JSON_MANNERS, MANNERS, Call
from sandbox.agent.scenario import Command, Repertoire
from sandbox.agent.step import Scene, Script

CALLERS: Final = Repertoire()
_NAMES: Final = "call|rounds|json"
_ASKED: Final = re.compile(rf"^(?:\w[\w ()]*: )?/({_NAMES})\b[ \t]*([^\n]*)", re.MULTILINE)
_NONCE: Final = re.compile(r'<tool_call nonce="(\w+)">')
_RESULT: Final = re.compile(r"<tool_result[^>…]*>\n?(.*?)\n?</tool_result>", re.DOTALL)
_AGAIN: Final = re.compile(r"once more|called no tool", re.IGNORECASE)
_MOST_ROUNDS: Final = 100


def calling_script(scene: Scene) -> Script | None:
    """Return what goes on between the agent and the tools that it was told of; None where nothing does."""
    said = "\n".join((*scene.earlier, scene.prompt))
    asked = next(reversed(list(_ASKED.finditer(said))), None)
    if asked is None:
        return None
    command = Command(asked[1], asked[2].strip())
    results = [found.strip() for found in _RESULT.findall(said, asked.end())]
    is_news = asked.start() >= len(said) - len(scene.prompt)
    if _RESULT.search(scene.prompt) and results:
        return _heard(scene, command, results)
    if _AGAIN.search(scene.prompt) and not is_news:
        return _done_over(scene, command)
    return _done(scene, command) if is_news else None


@CALLERS.add(
    "/call MANNER NAME JSON", "calls a tool that the prompt tells of, in a manner (`plain`, `python` …)"
)
@CALLERS.add("/rounds N NAME JSON", "the same, N times, each with the result of the one before")
@CALLERS.add("/json MANNER JSON", "answers with the JSON, in a manner (`bare`, `fenced`, `wrong` …)")
def _done(scene: Scene, command: Command) -> Script:
    """Do what is asked: a call in its manner, or JSON."""
    manner, words = _parts(command)
    if command.name == "json":
        return _told(JSON_MANNERS.get(manner, JSON_MANNERS["bare"])(words))
    call = _call_of(scene, words)
    if call is None:
        return _told("There is no tool that I could call.")
    if manner == "thinking":
        return _thought(call)
    return _told(MANNERS.get(manner, MANNERS["plain"])(call))


def _done_over(scene: Scene, command: Command) -> Script:
    """Do it again, as it should have been: a model that errs mostly errs once."""
    manner, words = _parts(command)
    if command.name == "json":
        return _told(words if manner != "never" else "I would rather not.")
    call = _call_of(scene, words)
    if call is None or manner in ("never", "silent"):
        return _told("I would rather not.")
    return _told(f"Sorry. {MANNERS['plain'](call)}")


def _heard(scene: Scene, command: Command, results: list[str]) -> Script:
    manner, words = _parts(command)
    if command.name == "rounds" and manner.isdecimal() and len(results) < min(int(manner), _MOST_ROUNDS):
        call = _call_of(scene, words)
        if call is not None:
            return _told(f"That was {len(results)}. {MANNERS['plain'](call)}")
    return _told(f"The results: {'; '.join(results)}.")


def _told(text: str) -> Script:
    yield acp.STARTED
    for piece in pieces(text):
        yield acp.said(piece)
    yield acp.ENDED


def _thought(call: Call) -> Script:
    yield acp.STARTED
    yield acp.thought(MANNERS["plain"](call))
    yield acp.said("I only thought of a call.")
    yield acp.ENDED


def _parts(command: Command) -> tuple[str, str]:
    manner, _, words = command.argument.partition("\n")[0].partition(" ")
    return manner or "plain", words.strip()


def _call_of(scene: Scene, words: str) -> Call | None:
    nonces = _NONCE.findall(scene.prompt)
    if not nonces:
        return None
    name, _, text = words.partition(" ")
    try:
        arguments = json.loads(text or '{"city": "Paris"}')
    except ValueError:
        arguments = None
    return Call(nonces[-1], name or "get_weather", arguments if isinstance(arguments, dict) else {})
