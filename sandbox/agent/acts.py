"""The scenarios in which the agent works: tools, files, plans, questions."""

import json
import random

from sandbox.agent import acp
from sandbox.agent.plays import answer, thoughts
from sandbox.agent.scenario import Command, Repertoire
from sandbox.agent.step import Ask, OpenPort, Pause, Scene, Script, Write
from sandbox.wire.prompt import Reply

ACTS = Repertoire()
_MOST_BYTES = 64 * 1024 * 1024


def _shell(call_id: str) -> Script:
    yield acp.tool_call(call_id, "Bash", "execute", status="pending", rawInput={"command": "go test ./..."})
    yield acp.tool_update(call_id, status="in_progress")
    yield acp.tool_update(call_id, status="completed", rawOutput={"output": "ok  1.2s"})


def _edit(call_id: str, scene: Scene) -> Script:
    path = f"notes/turn-{scene.turn}.md"
    content = f"# Turn {scene.turn}\n"
    yield acp.tool_call(
        call_id,
        "Write",
        "edit",
        status="pending",
        rawInput={"filePath": path, "content": content},
        locations=[{"path": path}],
    )
    yield acp.tool_update(call_id, status="in_progress")
    yield Write(path, content)
    yield acp.tool_update(
        call_id,
        status="completed",
        content=[{"type": "diff", "path": path, "oldText": None, "newText": content}],
        rawOutput={"output": "written", "metadata": {"files": [{"relativePath": path, "filePath": path}]}},
    )


@ACTS.add("/tools", "three tool calls in every state (one written to the repository), then the answer")
def tools(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield from _shell(f"t{scene.turn}a")
    yield acp.said("The tests pass. ")
    yield from _edit(f"t{scene.turn}b", scene)
    # One that is told only once it is done, as some agents do; its status is in the update.
    call_id = f"t{scene.turn}c"
    yield acp.tool_call(call_id, "Read", "read", rawInput={"filePath": "README.md"})
    yield acp.tool_update(
        call_id,
        status="completed",
        content=[{"type": "content", "content": {"type": "text", "text": "# Demo"}}],
    )
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/write N BYTES", "writes N files of so many bytes each to made/, then the answer")
def write(scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    size = command.count(1, 100, _MOST_BYTES)
    line = "0123456789abcde\n"
    for number in range(1, command.count(0, 1, 10_000) + 1):
        yield Write(f"made/{number:05}.txt", (line * (size // len(line) + 1))[:size])
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/toolfail", "a tool call that fails and one that never ends, then the answer")
def tool_failure(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    failing = f"t{scene.turn}a"
    yield acp.tool_call(failing, "Bash", "execute", status="pending", rawInput={"command": "false"})
    yield acp.tool_update(failing, status="in_progress")
    yield acp.tool_update(
        failing, status="failed", rawOutput={"stderr": "exit status 1", "error": "exit status 1"}
    )
    endless = f"t{scene.turn}b"
    yield acp.tool_call(
        endless, "Fetch", "fetch", status="in_progress", rawInput={"url": "http://example.com/"}
    )
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/big N", "a tool call with an output of N bytes, then the answer")
def big(scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    call_id = f"t{scene.turn}a"
    yield acp.tool_call(call_id, "Bash", "execute", status="in_progress", rawInput={"command": "cat big"})
    output = "0123456789abcdef" * (command.count(0, 1_000_000, _MOST_BYTES) // 16 + 1)
    size = command.count(0, 1_000_000, _MOST_BYTES)
    yield acp.tool_update(call_id, status="completed", rawOutput={"output": output[:size]})
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/plan", "a plan of three entries, told three times, then the answer")
def plan(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    for done in range(3):
        states = ["completed"] * done + ["in_progress"] + ["pending"] * (2 - done)
        yield acp.plan(
            ("Locate panic", "high", states[0]),
            ("Fix it", "medium", states[1]),
            ("Run the tests", "low", states[2]),
        )
        yield acp.said(f"Step {done + 1}. ")
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/ask", "a question in its own carrier; the turn waits for the reply and tells it")
def ask(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    call_id = f"q{scene.turn}"
    yield acp.question(
        call_id,
        {
            "question": "Which pipeline?",
            "header": "Pipeline",
            "options": [{"label": "all", "description": "every one"}, {"label": "unit"}],
        },
    )
    yield from _await_reply(call_id)
    yield acp.ENDED


@ACTS.add("/ask2", "two questions as an ordinary tool call, the second with several answers")
def ask_twice(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    call_id = f"q{scene.turn}"
    questions = [
        {
            "question": "Which language?",
            "custom": True,
            "options": [{"label": "Go"}, {"label": "Python"}],
        },
        {
            "question": "Which targets?",
            "multiple": True,
            "options": [{"label": "linux"}, {"label": "darwin"}, {"label": "windows"}],
        },
    ]
    yield acp.tool_call(
        call_id, "ask_user_question", "other", status="pending", rawInput={"questions": questions}
    )
    yield from _await_reply(call_id)
    yield acp.ENDED


def _await_reply(call_id: str) -> Script:
    reply: Reply | None = yield Ask(call_id)
    if reply is None:
        yield acp.tool_update(call_id, status="failed")
        yield acp.said("The question expired.")
        return
    yield acp.tool_update(call_id, status="completed")
    if reply.cancelled:
        yield acp.said("You cancelled the question.")
    else:
        yield acp.said(f"You answered: {_told(reply.answers_json)}.")


def _told(answers_json: str) -> str:
    try:
        answers = json.loads(answers_json)
    except ValueError:
        return "nothing"
    if not isinstance(answers, dict) or not answers:
        return "nothing"
    return "; ".join(
        f"{question} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for question, value in answers.items()
    )


@ACTS.add("/port", "the agent opens port 3000 of its machine, then answers")
def port(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield OpenPort(3000)
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add("/all", "thoughts, plan, tools, usage, commands, an image, a retry and the answer in one turn")
def everything(scene: Scene, _command: Command) -> Script:
    yield acp.STARTED
    yield acp.update(
        "available_commands_update",
        availableCommands=[{"name": "compact", "description": "Summarise", "input": None}],
    )
    yield from thoughts(scene)
    yield acp.plan(("Look", "high", "in_progress"), ("Answer", "medium", "pending"))
    yield acp.said("Let me look. ")
    yield acp.usage(1200)
    yield acp.said("One moment. ")
    yield from _shell(f"t{scene.turn}a")
    yield from _edit(f"t{scene.turn}b", scene)
    failing = f"t{scene.turn}c"
    yield acp.tool_call(failing, "Grep", "search", status="in_progress", rawInput={"pattern": "TODO"})
    yield acp.tool_update(failing, status="failed", rawOutput={"error": "nothing found"})
    yield acp.update("llm_call_retry", attempt=1, message="the model did not answer")
    yield acp.image("iVBORw0KGgo=")
    yield acp.plan(("Look", "high", "completed"), ("Answer", "medium", "in_progress"))
    yield acp.thought("Now the answer.")
    yield from answer(scene)
    yield acp.ENDED


@ACTS.add(
    "/mix N MS SEED", "N steps at random: text, thoughts, tools, plans and usage, one every MS milliseconds"
)
def mix(scene: Scene, command: Command) -> Script:
    yield acp.STARTED
    seconds = command.number(1, 20, 60_000) / 1000
    dice = random.Random(command.count(2, 1, 1_000_000))  # noqa: S311 - the same words for the same seed
    open_calls: list[str] = []
    for number in range(command.count(0, 100, 1_000_000)):
        yield Pause(seconds)
        match dice.choices(("say", "think", "call", "end", "plan", "usage"), (50, 25, 8, 8, 4, 5))[0]:
            case "say":
                yield acp.said(dice.choice((f"w{number} ", "ha", "ha", "é", "👩\u200d👩", "\n")))
            case "think":
                yield acp.thought(dice.choice((f"t{number} ", "hm ", "中文")))
            case "call":
                open_calls.append(f"m{scene.turn}-{number}")
                yield acp.tool_call(
                    open_calls[-1],
                    "Bash",
                    "execute",
                    status="pending",
                    rawInput={"command": f"echo {number}"},
                )
            case "end" if open_calls:
                call_id = open_calls.pop(dice.randrange(len(open_calls)))
                yield acp.tool_update(call_id, status="in_progress")
                status = dice.choice(("completed", "completed", "failed"))
                yield acp.tool_update(call_id, status=status, rawOutput={"output": f"out {number}"})
            case "plan":
                yield acp.plan((f"Step {number}", "high", "in_progress"))
            case _:
                yield acp.usage(1000 + number)
    yield acp.ENDED
