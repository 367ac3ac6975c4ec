"""The dialects of older backends, end to end: callers get what the platform's own dialect gives them."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import QuestionPolicy, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import Answer, EndReason, TaskEvent, UsageSource
from howler.task.v1.task_service_pb2 import AnswerQuestionRequest, CancelTurnRequest, StreamRequest

from tests.support.howler import Howler, text_of
from tests.support.process import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
OLDER: Final = ("text", "legacy")
ENDLESS: Final = {"/fatal", "/mute"}
SHORT: Final = {
    "/silence": "/silence 0.1",
    "/slowboot": "/slowboot 0.1",
    "/pace": "/pace 3 5",
    "/big": "/big 9000",
}
TRICKY: Final = ("test", '{"content":"aGk="}', "eyJjb250ZW50IjoiYUdrPSJ9", "é 👩‍👩‍👧 \u2028</b>")

_LINES = (ROOT / "tests/golden/wire/10.1-dialects.jsonl").read_text("utf-8").splitlines()
_FRAMES: Final[dict[str, str]] = {row["name"]: row["frame"] for row in map(json.loads, _LINES)}
HELLO: Final = {"native": _FRAMES["real"], "text": _FRAMES["RE-TS"], "legacy": _FRAMES["RE-PY"]}


def gateway(folder: Path, setting: str, backend: str, **others: str) -> Howler:
    """Return a gateway of this HOWLER_UPSTREAM_DIALECT in front of a sandbox of that dialect."""
    folder.mkdir()
    ours = {name: value for name, value in others.items() if not name.startswith("HOWLER_SANDBOX_")}
    theirs = {name: value for name, value in others.items() if name not in ours}
    return Howler(
        folder,
        facade=False,
        env={"HOWLER_UPSTREAM_DIALECT": setting, **ours},
        sandbox_env={"HOWLER_SANDBOX_DIALECT": backend, **theirs},
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(folder: Path) -> AsyncIterator[Howler]:
    """A gateway in front of the platform itself, which it finds out by `auto`."""
    async with gateway(folder / "platform", "auto", "native") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=OLDER)
async def dialect(request: pytest.FixtureRequest) -> str:
    """The older dialect that a module-wide gateway speaks."""
    return str(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path, dialect: str) -> AsyncIterator[Howler]:
    async with gateway(folder / dialect, dialect, dialect) as running:
        yield running


async def scenarios(howler: Howler) -> list[str]:
    """Return a prompt for every scenario that ends, and one that names none."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{howler.sandbox.url}/__sandbox/scenarios") as answer,
    ):
        rows = (await answer.json())["scenarios"]
    names = {row["usage"].split()[0] for row in rows if row["usage"].startswith("/")}
    assert names >= ENDLESS
    return ["Say something", *(SHORT.get(name, name) for name in sorted(names - ENDLESS))]


async def inputs(howler: Howler, events: list[TaskEvent]) -> list[str]:
    """Return the frames with a prompt that the sandbox got for a turn's task, as they came."""
    frames = await howler.sandbox.frames(events[0].accepted.task_id)
    return [frame for frame in frames if json.loads(frame)["type"] in ("user-input", "user_input")]


def facts(events: list[TaskEvent]) -> list[tuple[object, ...]]:
    """Return what the events of a turn tell and every dialect has a word for, neighbouring text joined.

    Not so: descriptions of commands, priorities of a plan, the context window; of `raw` the flat spelling.
    """
    told: list[tuple[object, ...]] = []
    for event in events[1:]:
        match event.WhichOneof("event"):
            case "text_delta" | "thought_delta" as kind:
                text = str(getattr(event, kind).text)
                if told and told[-1][0] == kind:
                    told[-1] = (kind, f"{told[-1][1]}{text}")
                else:
                    told.append((kind, text))
            case "tool_call":
                call = event.tool_call
                # stderr and error may tell one thing twice
                output = tuple(dict.fromkeys(call.output.splitlines()))
                places = [place.path for place in call.locations], [diff.new_text for diff in call.diffs]
                told.append((call.id, call.title, call.kind, call.state, call.raw_input, output, places))
            case "plan":
                told.append(("plan", [(entry.content, entry.status) for entry in event.plan.entries]))
            case "commands":
                told.append(("commands", [command.name for command in event.commands.commands]))
            case "raw":
                told.append(("raw", event.raw.type, event.raw.kind))
            case "ended":
                ended = event.ended
                told.append(("ended", ended.reason, ended.error, ended.message, ended.resumable))
            case "usage" | "progress":
                continue
            case kind:
                told.append((kind, str(getattr(event, str(kind)))))
    return told


def is_fleeting(fact: tuple[object, ...]) -> bool:
    """Tell a task-event: not persisted (§8), so one that comes before the attach is never told."""
    return fact[0] == "notice" and re.search("(FILES|PORTS)_CHANGED", str(fact[1])) is not None


async def test_every_scenario_tells_what_the_platforms_dialect_tells(
    platform: Howler, howler: Howler, dialect: str
) -> None:
    """P4: later turns, by mode=new, live from the first frame to the last."""
    tasks = [(await one.turn("/empty", retention=KEEP))[0].accepted.task_id for one in (platform, howler)]
    for prompt in await scenarios(platform):
        expected = facts(await platform.turn(prompt, task_id=tasks[0], retention=KEEP))
        assert facts(await howler.turn(prompt, task_id=tasks[1], retention=KEEP)) == expected, prompt


async def test_every_scenario_as_a_first_turn(platform: Howler, howler: Howler, dialect: str) -> None:
    """P4: by attach, where a replay may join pieces and move what stands beside the text."""

    def folded(events: list[TaskEvent]) -> tuple[object, ...]:
        told = [fact for fact in facts(events) if not is_fleeting(fact)]
        beside = [one for one in told if one[0] not in ("text_delta", "thought_delta")]
        thoughts = "".join(event.thought_delta.text for event in events)
        return text_of(events), thoughts, sorted(map(repr, beside))

    for prompt in await scenarios(platform):
        expected = folded(await platform.turn(prompt, retention=STOP))
        assert folded(await howler.turn(prompt, retention=STOP)) == expected, prompt


async def test_usage_is_counted_in_tokens(howler: Howler, dialect: str) -> None:
    """P6.4"""
    events = await howler.turn("Say something", retention=STOP)
    usage = [event.usage for event in events if event.WhichOneof("event") == "usage"]
    tokens = events[-1].ended.usage.tokens
    assert tokens.source == UsageSource.USAGE_SOURCE_EXACT
    assert tokens.input_tokens == -(-len("Say something") // 4)
    assert tokens.total_tokens == tokens.input_tokens + tokens.output_tokens
    told = text_of(events) + "".join(event.thought_delta.text for event in events)
    assert tokens.output_tokens == -(-len(told.encode()) // 4)
    assert usage
    assert all(one.tokens.source == UsageSource.USAGE_SOURCE_EXACT for one in usage)
    assert not any(one.HasField("context") for one in usage)


async def test_prompts_go_as_the_dialect_spells_them(platform: Howler, howler: Howler, dialect: str) -> None:
    """P4: the worked frames of §10.1; the first turn is never written, it runs from the create."""
    for one, spelled in ((platform, HELLO["native"]), (howler, HELLO[dialect])):
        first = await one.turn("hello", retention=KEEP)
        assert await inputs(one, first) == []
        second = await one.turn("hello", task_id=first[0].accepted.task_id, retention=KEEP)
        assert await inputs(one, second) == [spelled]
        assert text_of(second).startswith("You said: “hello”. This is turn 2; before that you said “hello”.")


async def test_prompts_arrive_unharmed(howler: Howler, dialect: str) -> None:
    """P4: also those that look like base64 or JSON (§10.2)."""
    task_id = (await howler.turn("/empty", retention=KEEP))[0].accepted.task_id
    for prompt in TRICKY:
        events = await howler.turn(prompt, task_id=task_id, retention=KEEP)
        assert text_of(events).startswith(f"You said: “{prompt}”.")
    turns = (await howler.sandbox.task(events[0].accepted.task_id))["turns"]
    assert [turn["prompt"] for turn in turns[1:]] == list(TRICKY)


async def test_a_question_that_the_caller_answers(howler: Howler, dialect: str) -> None:
    """P4, P6.5: the reply is no base64."""
    start = StartTurn(prompt="/ask2", question_policy=QuestionPolicy.QUESTION_POLICY_ASK, retention=STOP)
    call = howler.tasks.Stream(StreamRequest(start=start))
    events: list[TaskEvent] = []
    async for response in call:
        events += response.events
        for question in (one.question for one in response.events if one.WhichOneof("event") == "question"):
            answers = [Answer(text=item.text, values=[item.options[-1].label]) for item in question.items]
            await howler.tasks.AnswerQuestion(
                AnswerQuestionRequest(
                    turn_id=events[0].accepted.turn_id, question_id=question.question_id, answers=answers
                )
            )
    assert text_of(events) == "You answered: Which language? Python; Which targets? windows."
    mine = [json.loads(frame) for frame in await howler.sandbox.frames(events[0].accepted.task_id)]
    (reply,) = [frame["data"] for frame in mine if frame["type"] == "reply-question"]
    assert json.loads(reply)["request_id"] == "q1"


async def test_a_turn_is_cancelled(howler: Howler, dialect: str) -> None:
    """P3.2"""
    call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="/mute", retention=KEEP)))
    events = list((await call.read()).events)
    while not any(event.WhichOneof("event") == "started" for event in events):
        events += (await call.read()).events
    told = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=events[0].accepted.turn_id))
    assert told.reason == EndReason.END_REASON_CANCELLED
    after = await howler.turn("and now?", task_id=events[0].accepted.task_id, retention=STOP)
    assert text_of(after).startswith("You said: “and now?”.")


async def test_nothing_is_left_open_and_the_log_is_clean(howler: Howler, dialect: str) -> None:
    """P3.2"""
    assert (await howler.sandbox.state())["sockets"]["stream"] == 0
    assert "Traceback" not in howler.server.errors
    assert "You said" not in howler.server.errors
    assert "could not be read" not in howler.server.errors


async def test_auto_pins_text_by_the_first_turn(folder: Path) -> None:
    """P4"""
    async with gateway(folder / "auto", "auto", "text") as howler:
        # A prompt that, told back as it is, looks like a frame of the platform.
        first = await howler.turn(TRICKY[2], retention=KEEP)
        second = await howler.turn("hello", task_id=first[0].accepted.task_id, retention=KEEP)
        assert await inputs(howler, second) == [HELLO["text"]]
        assert "This is turn 2" in text_of(second)
        assert howler.server.errors.count("is not base64") == 1


async def test_auto_answers_a_question_of_the_very_first_turn(folder: Path) -> None:
    """P4, P6.5: what pins the dialect is the first frame, not the first turn."""
    async with gateway(folder / "asked", "auto", "text") as howler:
        events = await howler.turn("/ask", deadline=Duration(seconds=20), retention=STOP)
        assert text_of(events) == "You answered: Which pipeline? all."


ALONE: Final = {"HOWLER_SANDBOX_RUNS_CONTENT": "false", "HOWLER_FIRST_EVENT_TIMEOUT": "1"}


@pytest.mark.parametrize("name", OLDER)
async def test_a_content_that_was_left_alone_is_said_once(folder: Path, name: str) -> None:
    """P4: the first turn attaches, and falls back to mode=new when nothing came and nothing is stored."""
    async with gateway(folder / f"alone-{name}", name, name, **ALONE) as howler:
        first = await howler.turn("hello", retention=KEEP)
        assert text_of(first).startswith("You said: “hello”. This is turn 1.")
        assert first[-1].ended.reason == EndReason.END_REASON_COMPLETED
        assert await inputs(howler, first) == [HELLO[name]]
        await howler.turn("/empty", task_id=first[0].accepted.task_id, retention=KEEP)
        turns = (await howler.sandbox.task(first[0].accepted.task_id))["turns"]
        assert [(turn["via"], turn["prompt"]) for turn in turns] == [("new", "hello"), ("new", "/empty")]
        assert (await howler.sandbox.state())["sockets"]["stream"] == 0


@pytest.mark.parametrize("name", ["native", "auto"])
async def test_the_platform_is_never_told_a_first_prompt_again(folder: Path, name: str) -> None:
    """P4: it always runs the content (§6.7), so its silence is a failure."""
    async with gateway(folder / f"silent-{name}", name, "native", **ALONE) as howler:
        events = await howler.turn("hello", retention=KEEP)
        assert events[-1].ended.error == ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT
        assert await inputs(howler, events) == []
        assert (await howler.sandbox.task(events[0].accepted.task_id))["turns"] == []


@pytest.mark.parametrize("name", OLDER)
async def test_a_content_that_ran_unseen_is_not_said_again(folder: Path, name: str) -> None:
    """P4: nothing arrived in time, but the rounds are not empty."""
    limit = {"HOWLER_FIRST_EVENT_TIMEOUT": "1"}
    async with gateway(folder / f"late-{name}", name, name, **limit) as howler:
        await howler.sandbox.faults(stream={"mode": "attach", "delay_ms": 60_000})
        events = await howler.turn("hello", retention=KEEP)
        assert events[-1].ended.error == ErrorReason.ERROR_REASON_FIRST_EVENT_TIMEOUT
        assert await inputs(howler, events) == []
        task = await howler.sandbox.task(events[0].accepted.task_id)
        assert [turn["via"] for turn in task["turns"]] == ["create"]
