"""The scenarios that only talk: text, thoughts, pace, silence, failure."""

import math

from sandbox.agent import acp
from sandbox.agent.answer import pieces, sentences, tokens
from sandbox.agent.scenario import Command, Repertoire
from sandbox.agent.step import Crash, Emit, Pause, Scene, Script

PLAYS = Repertoire()
_DAY = 86_400.0  # seconds; the longest silence that ends
_MOST_BYTES = 64 * 1024 * 1024
_UNICODE = '中文 é e\u0301 👩‍👩‍👧 \U0001f1e8\U0001f1f3 \u2028 עברית \u200d \ufeff <b>&amp;</b> \\ " \x7f'


def answer(scene: Scene) -> Script:
    """The plain answer and what it leaves in the context window."""
    text = " ".join(sentences(scene))
    for piece in pieces(text):
        yield acp.said(piece)
    remembered = "".join(scene.earlier) + scene.system_prompt
    yield acp.usage(tokens(remembered + scene.prompt) + tokens(text))


def thoughts(scene: Scene) -> Script:
    """A thought in two pieces."""
    yield acp.thought(f"The user wrote {len(scene.prompt)} characters. ")
    yield acp.thought("A short answer will do.")


@PLAYS.add("(anything else)", "a thought, then an answer in chunks that quotes the prompt")
def plain(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield from thoughts(scene)
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/think", "twenty chunks of thought, then the answer")
def think(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    for number in range(1, 21):
        yield acp.thought(f"Thought {number}. ")
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/image", "text, a PNG as an image chunk, text")
def image(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.said("Here is a picture: ")
    yield acp.image(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/error", "some text, a task-error, then task-ended")
def error(_scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.said("This will fail. ")
    yield acp.failure("the sandbox agent was asked to fail")
    yield acp.ENDED


@PLAYS.add("/fatal", "a task-error, then nothing more: the agent is dead until a control restart")
def fatal(_scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.said("This will crash. ")
    yield acp.failure("the sandbox agent was asked to crash")
    yield Crash()


@PLAYS.add("/silence S", "S seconds without a frame of the turn (pings go on), then the answer")
def silence(scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    yield Pause(command.number(0, 5, _DAY))
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/mute", "task-started, then nothing until cancelled")
def mute(_scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield Pause(math.inf)


@PLAYS.add("/burst N", "N chunks of text at once: tok0 tok1 …")
def burst(_scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    for number in range(command.count(0, 1000, 1_000_000)):
        yield acp.said(f"tok{number} ")
    yield acp.ENDED


@PLAYS.add("/pace N MS", "N chunks of text, one every MS milliseconds: tok0 tok1 …")
def pace(_scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    seconds = command.number(1, 100, 60_000) / 1000
    for number in range(command.count(0, 20, 1_000_000)):
        yield acp.said(f"tok{number} ")
        yield Pause(seconds)
    yield acp.ENDED


@PLAYS.add("/long N", "one chunk of N bytes of text")
def long(_scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    yield acp.said("x" * command.count(0, 100_000, _MOST_BYTES))
    yield acp.ENDED


@PLAYS.add("/empty", "a turn without a word")
def empty(_scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.ENDED


@PLAYS.add("/retry", "the agent retries its model call twice, then answers")
def retry(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    for attempt in (1, 2):
        yield acp.update("llm_call_retry", attempt=attempt, message="the model did not answer")
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/compact", "the context is compacted, then the answer")
def compact(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.update("compact_status", status="started")
    yield acp.update("compact_status", status="ended")
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/usage", "three usage updates, one of them partial, then the answer")
def usage(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.usage(1200)
    yield acp.said("Counting. ")
    yield acp.update("usage_update", used=3400)
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/commands", "the agent tells its commands, then answers")
def commands(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.update(
        "available_commands_update",
        availableCommands=[
            {"name": "compact", "description": "Summarise the conversation", "input": None},
            {"name": "review", "description": "Review changes", "input": {"hint": "path"}},
        ],
    )
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/unknown", "an unknown sessionUpdate, an unknown kind and an unknown frame type, then the answer")
def unknown(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.update("hologram_update", shape="cube")
    yield Emit("task-running", "acp_hologram", {"shape": "cube"})
    yield Emit("file-change", "", {"path": "a.txt"})
    yield from answer(scene)
    yield acp.ENDED


@PLAYS.add("/unicode", "text of many scripts, cut between code points of one character")
def unicode(_scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    for start in range(0, len(_UNICODE), 3):
        yield acp.said(_UNICODE[start : start + 3])
    yield acp.ENDED


@PLAYS.add("/slowboot S", "the machine takes S seconds to boot, then the answer")
def slow_boot(scene: Scene, command: Command) -> Script:
    return plain(scene, command)


@PLAYS.add("/bootfail", "the machine fails to boot, the task becomes `error` (only as a task's first prompt)")
def boot_failure(scene: Scene, command: Command) -> Script:
    return plain(scene, command)
