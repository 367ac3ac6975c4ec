"""The sandbox's older dialects (protocol §10, §10.1): their frames, and turns over real sockets."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest

from sandbox.agent import acp
from sandbox.agent.step import Emit
from sandbox.settings import Settings, SettingsError, read
from sandbox.wire import gojson
from sandbox.wire.dialect import DIALECTS
from sandbox.wire.frame import Frame, MalformedFrameError
from sandbox.wire.prompt import Attachment, Prompt, read_call, read_prompt, read_reply, write_prompt
from tests.support.process import ROOT
from tests.support.sandbox import Caller, Sandbox, prompt, sandbox_environ, say

_LINES = (ROOT / "tests/golden/wire/10.1-dialects.jsonl").read_text("utf-8").splitlines()
GOLDEN: Final[dict[str, str]] = {row["name"]: row["frame"] for row in map(json.loads, _LINES)}
OLDER: Final = ("text", "legacy")


def _told(emitted: Emit, dialect: str) -> dict[str, Any]:
    """Return what an older backend writes for a step of the agent; `data` is read where it is JSON."""
    data = b"" if emitted.payload is None else gojson.dumps(emitted.payload).encode()
    frame: dict[str, Any] = json.loads(DIALECTS[dialect].encode(Frame(emitted.type, data, emitted.kind)))
    if isinstance(frame.get("data"), str) and frame["data"].startswith("{"):
        frame["data"] = json.loads(frame["data"])
    return frame


@pytest.mark.parametrize("dialect", OLDER)
def test_a_piece_of_the_answer_is_written_as_the_protocol_shows(dialect: str) -> None:
    """P4"""
    emitted = acp.said("Hi")
    frame = Frame(emitted.type, gojson.dumps(emitted.payload).encode(), emitted.kind)
    assert DIALECTS[dialect].encode(frame) == GOLDEN["RE answer"]


@pytest.mark.parametrize(
    ("dialect", "name"), [("text", "RE-TS"), ("text", "RE-TS doc"), ("legacy", "RE-PY"), ("legacy", "RE-TS")]
)
def test_each_golden_prompt_is_read(dialect: str, name: str) -> None:
    """P4: the MVP connects with a plain string, too."""
    frame = DIALECTS[dialect].parse(GOLDEN[name])
    assert frame.type == "user-input"
    assert read_prompt(frame.data) == Prompt("hello")


@pytest.mark.parametrize("dialect", OLDER)
def test_the_golden_reply_is_read(dialect: str) -> None:
    frame = DIALECTS[dialect].parse(GOLDEN["RE reply"])
    reply = read_reply(frame.data)
    assert frame.type == "reply-question"
    assert reply is not None
    assert reply.payload() == {"request_id": "", "answers_json": "", "cancelled": False}


@pytest.mark.parametrize("text", ["", " \n", "test", '{"content":"aGk="}', '"', "é\u2028👩‍👩‍👧 </b>"])
def test_a_prompt_is_taken_as_it_is(text: str) -> None:
    spelled = {
        "text": {"type": "user-input", "data": text},
        "legacy": {
            "type": "user_input",
            "data": {"content": base64.b64encode(json.dumps({"content": text}).encode()).decode()},
        },
    }
    for dialect, frame in spelled.items():
        assert read_prompt(DIALECTS[dialect].parse(json.dumps(frame)).data) == Prompt(text), dialect


def test_attachments_of_the_documented_form() -> None:
    shot = Attachment("/api/v1/assets?key=a.png", "a.png")
    data = write_prompt(Prompt("look", (shot,))).decode()
    frame = DIALECTS["text"].parse(json.dumps({"type": "user-input", "data": data}))
    assert read_prompt(frame.data) == Prompt("look", (shot,))


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ("text", "no JSON"),
        ("text", "[]"),
        ("text", '{"type":7}'),
        ("text", '{"type":"user-input"}'),
        ("text", GOLDEN["desktop"]),
        ("legacy", '{"type":"user_input","data":{"text":"hello"}}'),
        ("legacy", '{"type":"user_input","data":[104]}'),
        ("legacy", '{"type":"user-cancel","kind":{}}'),
    ],
)
def test_what_a_backend_drops(dialect: str, message: str) -> None:
    with pytest.raises(MalformedFrameError):
        DIALECTS[dialect].parse(message)


def test_other_words_for_a_prompt() -> None:
    assert DIALECTS["text"].parse(GOLDEN["RE-PY"]).type == "user_input"  # which the backend ignores
    assert read_prompt(DIALECTS["legacy"].parse(GOLDEN["desktop"]).data) == Prompt("hello")
    call = DIALECTS["text"].parse('{"type":"call","kind":"restart","data":"{\\"request_id\\":\\"r1\\"}"}')
    body = read_call(call.data)
    assert body is not None
    assert (call.kind, body.text("request_id")) == ("restart", "r1")


@pytest.mark.parametrize(
    ("emitted", "flat"),
    [
        (acp.thought("hm"), {"type": "agent_thought_chunk", "text": "hm", "content": "hm"}),
        (
            acp.tool_call("t1", "Bash", "execute", status="in_progress", rawInput={"command": "ls"}),
            {
                "type": "tool_call",
                "tool_id": "t1",
                "tool_name": "Bash",
                "kind": "execute",
                "tool_input": {"command": "ls"},
                "status": "running",
            },
        ),
        (
            acp.plan(("Look", "high", "in_progress")),
            {"type": "plan", "steps": [{"id": "1", "title": "Look", "status": "in_progress"}]},
        ),
        (
            acp.update("available_commands_update", availableCommands=[{"name": "compact", "input": None}]),
            {"type": "available_commands_update", "commands": ["compact"]},
        ),
        (acp.image("AA=="), {"type": "agent_message_chunk", "content": {"type": "image", "data": "AA=="}}),
        (acp.update("llm_call_retry", attempt=1), {"type": "llm_call_retry", "attempt": 1}),
    ],
    ids=lambda value: value.get("type") if isinstance(value, dict) else "",
)
def test_updates_are_flat(emitted: Emit, flat: dict[str, Any]) -> None:
    """P4"""
    for dialect in OLDER:
        assert _told(emitted, dialect) == {"type": "task-running", "kind": "acp_event", "data": flat}


def test_where_the_two_differ() -> None:
    done = acp.tool_update("t1", status="completed", rawOutput={"output": "ok"})
    failed = acp.tool_update("t1", status="failed", rawOutput={"stderr": "no"})
    assert [_told(one, "text")["data"] for one in (done, failed)] == [
        {"type": "tool_call_update", "tool_id": "t1", "status": "done", "delta": "ok"},
        {"type": "tool_call_update", "tool_id": "t1", "status": "failed", "delta": "no"},
    ]
    assert [
        (data["status"], data["extra"]) for data in (_told(one, "legacy")["data"] for one in (done, failed))
    ] == [
        ("success", {"exit_code": 0, "stdout": "ok", "stderr": ""}),
        ("error", {"exit_code": 1, "stdout": "", "stderr": "no"}),
    ]
    failure = acp.failure("went wrong")
    assert _told(failure, "text") == {"type": "task-error", "data": "went wrong"}
    assert _told(failure, "legacy")["data"] == {"error": "went wrong", "code": 500}


def test_a_question_has_one_carrier() -> None:
    question: dict[str, object] = {"question": "Which?", "options": [{"label": "all"}]}
    asked = {"questions": [question]}
    as_call = acp.tool_call("q1", "ask_user_question", "other", status="pending", rawInput=asked)
    for dialect in OLDER:
        for emitted in (as_call, acp.question("q1", question)):
            assert _told(emitted, dialect) == {
                "type": "task-running",
                "kind": acp.QUESTION,
                "data": {"request_id": "q1", "rawInput": asked},
            }


def test_settings_take_the_dialects_and_nothing_else() -> None:
    chosen = read({"HOWLER_SANDBOX_DIALECT": "legacy", "HOWLER_SANDBOX_RUNS_CONTENT": "false"})
    assert (chosen.dialect, chosen.runs_content) == ("legacy", "false")
    assert (Settings().dialect, Settings().runs_content) == ("native", "true")
    for name in ("HOWLER_SANDBOX_DIALECT", "HOWLER_SANDBOX_RUNS_CONTENT"):
        with pytest.raises(SettingsError, match=name):
            read({name: "auto"})


def test_a_wrong_dialect_is_one_line_and_exit_2() -> None:
    environ = sandbox_environ(HOWLER_SANDBOX_DIALECT="klingon")
    command = [sys.executable, "-m", "sandbox"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "native, text, legacy" in ended.stderr


# Over real sockets.

PROMPTS: Final = {
    "text": '{"type":"user-input","data":"once more"}',
    "legacy": '{"type":"user_input","data":{"content":"'
    + base64.b64encode(b'{"content": "once more"}').decode()
    + '"}}',
}


@pytest.fixture(params=OLDER)
async def older(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Sandbox]]:
    async with Sandbox(HOWLER_SANDBOX_DIALECT=request.param, HOWLER_SANDBOX_PING_S="0.05") as sandbox:
        yield request.param, sandbox


async def _until_closed(ws: "aiohttp.ClientWebSocketResponse[bool]") -> list[dict[str, Any]]:
    """Return the frames up to the close of the socket, without pings."""
    heard = []
    while (message := await ws.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
        frame = json.loads(message.data)
        if frame["type"] != "ping":
            heard.append(frame)
    assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 1000)
    return heard


def _text(frames: list[dict[str, Any]]) -> str:
    updates = [json.loads(frame["data"]) for frame in frames if frame.get("kind") == acp.ACP]
    return "".join(one["text"] for one in updates if one["type"] == "agent_message_chunk")


async def test_the_socket_is_closed_behind_the_turn(older: tuple[str, Sandbox]) -> None:
    """P4: attach runs the content, mode=new takes the prompt; both end by the backend's close."""
    dialect, sandbox = older
    async with Caller(sandbox.url) as caller:
        task_id = await caller.create("first")
        async with caller.socket(task_id) as ws:
            first = await _until_closed(ws)
        async with caller.socket(task_id, "new") as ws:
            await ws.send_str(PROMPTS[dialect])
            second = await _until_closed(ws)
        async with caller.socket(task_id) as ws:
            replayed = await _until_closed(ws)
    assert _text(first).startswith("You said: “first”.")
    assert "You said: “once more”. This is turn 2" in _text(second)
    assert _text(replayed) == _text(second)
    for frames in (first, second, replayed):
        assert frames[-1]["type"] == "task-ended"
        assert ("data" in frames[-1]) == (dialect == "legacy")
    usage = next(json.loads(frame["data"]) for frame in first if "total_tokens" in frame.get("data", ""))
    assert usage["input_tokens"] == 2  # bytes / 4, rounded up
    assert usage["total_tokens"] == 2 + usage["output_tokens"]
    assert usage["output_tokens"] >= len(_text(first)) // 4


async def test_a_prompt_in_the_platforms_dialect_is_not_understood(older: tuple[str, Sandbox]) -> None:
    """P4: so a gateway that spells it wrong is found out."""
    _, sandbox = older
    native = prompt("hello")
    async with Caller(sandbox.url) as caller:
        task_id = await caller.create("/empty")
        async with caller.socket(task_id) as ws:
            await _until_closed(ws)
        async with caller.socket(task_id, "new") as ws:
            await ws.send_str(native)
            await _until_closed(ws)
        task = await sandbox.task(task_id)
    assert task["turns"][1]["prompt"] == json.loads(native)["data"]


async def test_replies_are_read_without_base64_only(older: tuple[str, Sandbox]) -> None:
    """P4, P6.5"""
    _, sandbox = older
    reply = {"request_id": "q1", "answers_json": '{"Which pipeline?":"all"}', "cancelled": False}
    async with Caller(sandbox.url) as caller:
        task_id = await caller.create("/ask")
        async with caller.socket(task_id) as ws:
            while json.loads(await ws.receive_str(timeout=60)).get("kind") != acp.QUESTION:
                pass
            await ws.send_str(say("reply-question", reply))
            await ws.send_str(json.dumps({"type": "reply-question", "data": json.dumps(reply)}))
            frames = await _until_closed(ws)
        outcomes = [
            frame["outcome"] for frame in (await sandbox.state())["frames"] if frame["task_id"] == task_id
        ]
    assert outcomes == ["dropped: the reply is not JSON", "done"]
    assert _text(frames) == "You answered: Which pipeline? all."


@pytest.mark.parametrize("dialect", ["native", *OLDER])
async def test_content_that_is_left_alone(dialect: str) -> None:
    environ = {"HOWLER_SANDBOX_DIALECT": dialect, "HOWLER_SANDBOX_RUNS_CONTENT": "false"}
    spelled = PROMPTS | {"native": prompt("once more")}
    async with Sandbox(**environ, HOWLER_SANDBOX_PING_S="0.05") as sandbox, Caller(sandbox.url) as caller:
        task_id = await caller.create("first")
        await caller.until(task_id, "processing")
        async with caller.socket(task_id) as ws:
            assert [json.loads(await ws.receive_str(timeout=60))["type"] for _ in range(3)] == ["ping"] * 3
        rounds = await caller.call("GET", f"/api/v1/users/tasks/rounds?id={task_id}")
        assert rounds.data["chunks"] == []
        async with caller.socket(task_id, "new") as ws:
            await ws.send_str(spelled[dialect])
            while json.loads(await ws.receive_str(timeout=60))["type"] != "task-ended":
                pass
        (task,) = (await sandbox.state())["tasks"]
    assert [(turn["via"], turn["prompt"]) for turn in task["turns"]] == [("new", "once more")]
