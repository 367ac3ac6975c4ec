"""The control socket (protocol §8) and the machine's sleep (§9), over real sockets."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.support.sandbox import Caller, Sandbox, answer_of, heard_until, prompt, say

Control = aiohttp.ClientWebSocketResponse[bool]


async def _call(ws: Control, kind: str, **fields: object) -> Any:
    await ws.send_str(say("call", {"request_id": f"r-{kind}"} | fields, kind))
    (frame,) = [one for one in await heard_until(ws, "call-response") if one.type == "call-response"]
    assert frame.kind == kind
    assert frame.seq == 0
    assert frame.payload["request_id"] == f"r-{kind}"
    return frame.payload


@pytest.fixture
async def task_id(caller: Caller) -> str:
    """A task whose first turn wrote a file and is over."""
    task_id = await caller.create("/tools")
    await caller.follow(task_id)
    return task_id


async def test_it_survives_the_ends_of_turns_and_tells_events(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        await caller.follow(task_id, "/port")
        frame = (await heard_until(ws, "task-event"))[-1]
        assert (frame.kind, frame.payload) == ("port_change", {"change_type": "PORT_CHANGE_TYPE_OPENED"})
        assert frame.seq == 0
        assert frame.timestamp > 0
        await caller.follow(task_id, "/tools")
        assert (await heard_until(ws, "task-event"))[-1].kind == "repo_file_change"
        await heard_until(ws, "ping")
        ports = (await _call(ws, "port_forward_list"))["ports"]
        assert [port["port"] for port in ports] == [3000]


async def test_restart_keeps_or_clears_the_context(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        kept = await _call(ws, "restart", load_session=True)
        assert kept == {
            "id": task_id,
            "request_id": "r-restart",
            "success": True,
            "message": "",
            "session_id": "ses_1",
        }
        assert "before that you said “/tools”" in answer_of(await caller.follow(task_id, "remember?"))
        assert (await _call(ws, "restart", load_session=False))["session_id"] == "ses_2"
        assert "before that" not in answer_of(await caller.follow(task_id, "remember?"))


async def test_restart_repairs_a_crashed_agent(caller: Caller) -> None:
    task_id = await caller.create("/fatal")
    async with caller.socket(task_id) as ws:
        await heard_until(ws, "task-error")
        assert await heard_until(ws, "ping")  # no task-ended: only pings from here on
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("anyone?"))
        assert [frame.type for frame in await heard_until(ws, "ping")] == ["user-input", "ping"]
        assert [frame.type for frame in await heard_until(ws, "ping")] == ["ping"]
    async with caller.socket(task_id, channel="control") as ws:
        assert (await _call(ws, "restart", load_session=True))["success"] is True
    assert "You said: “continue”." in answer_of(await caller.follow(task_id, "continue"))


async def test_switch_model(caller: Caller, task_id: str) -> None:
    models = (await caller.call("GET", "/api/v1/users/models")).data["models"]
    wanted = next(model for model in models if model["model"] == "glm-5")
    async with caller.socket(task_id, channel="control") as ws:
        switched = await _call(ws, "switch_model", model_id=wanted["id"], load_session=True)
        assert switched["success"] is True
        assert switched["model"]["model"] == "glm-5"
        assert "api_key" not in switched["model"]
        assert (await caller.info(task_id))["model"]["id"] == wanted["id"]
        refused = await _call(ws, "switch_model", model_id="7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11")
        assert refused == {
            "request_id": "r-switch_model",
            "success": False,
            "error": "model not accessible",
        }


async def test_switch_model_is_for_opencode_only(caller: Caller) -> None:
    task_id = await caller.create("hello", cli_name="codex")
    await caller.follow(task_id)
    async with caller.socket(task_id, channel="control") as ws:
        refused = await _call(ws, "switch_model", model_id="x")
        assert refused["error"] == "switch model only supports opencode runtime"


async def test_switch_agent_resources(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        assert (await _call(ws, "switch_agent_resources", skill_ids=[], plugin_ids=[]))["success"] is True


async def test_the_repository(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        root = (await _call(ws, "repo_file_list", path="", glob_pattern="*", include_hidden=True))["files"]
        assert {(one["name"], one["entry_mode"]) for one in root} == {
            (".gitignore", 1),
            ("README.md", 1),
            ("docs", 4),
            ("notes", 4),
            ("src", 4),
        }
        shown = (await _call(ws, "repo_file_list", path="", glob_pattern="*.*"))["files"]
        assert [one["name"] for one in shown] == ["README.md"]
        nested = (await _call(ws, "repo_file_list", path="src"))["files"]
        assert [one["path"] for one in nested] == ["src/lib", "src/main.py"]
        assert (await _call(ws, "repo_file_list", path="nowhere"))["success"] is False
        read = await _call(ws, "repo_read_file", path="notes/turn-1.md", offset=0, length=1048576)
        assert base64.b64decode(read["content"]) == b"# Turn 1\n"
        assert (read["total_size"], read["is_truncated"]) == (9, False)
        part = await _call(ws, "repo_read_file", path="notes/turn-1.md", offset=2, length=4)
        assert base64.b64decode(part["content"]) == b"Turn"
        assert part["is_truncated"] is True
        missing = await _call(ws, "repo_read_file", path="nowhere")
        assert missing["success"] is False
        assert missing["error"]
        changes = await _call(ws, "repo_file_changes")
        assert changes["changes"] == [
            {"path": "notes/turn-1.md", "status": "??", "additions": 1, "deletions": 0}
        ]
        diff = await _call(ws, "repo_file_diff", path="notes/turn-1.md", unified=True, context_lines=20)
        assert diff["diff"].endswith("+# Turn 1\n")
        assert "diff" not in await _call(ws, "repo_file_diff", path="README.md")


async def test_unknown_and_unreadable_calls_stay_unanswered(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        for frame in (
            say("call", {"request_id": "r1"}, "teleport"),
            json.dumps({"type": "call", "kind": "restart", "data": "bm8="}),
            json.dumps({"type": "call", "kind": "restart", "data": {"request_id": "r1"}}),
            say("user-input", {"content": "aGk="}),
            "not json",
        ):
            await ws.send_str(frame)
        await ws.send_str(say("sync-my-ip", {"client_ip": "192.0.2.1"}))
        # Frames are served in order: the answer to the last call is the first that comes.
        await _call(ws, "repo_file_changes")
    async with caller.http.get("/__sandbox/state") as response:
        task = next(one for one in (await response.json())["tasks"] if one["id"] == task_id)
    assert task["client_ips"] == ["192.0.2.1"]
    assert task["prompts"] == 1


async def test_the_inbound_limit_holds_here_too(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, channel="control") as ws:
        await ws.send_str("x" * 32_769)
        while (await ws.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert ws.close_code == 1009


async def test_a_machine_sleeps_and_only_a_control_socket_wakes_it() -> None:
    environ = {"HOWLER_SANDBOX_SLEEP_S": "0.2", "HOWLER_SANDBOX_PING_S": "0.1"}
    async with Sandbox(**environ) as sandbox, Caller(sandbox.url) as caller:
        task_id = await caller.create("hello")
        await caller.follow(task_id)
        await _until_vm(caller, task_id, "hibernated")
        assert (await caller.info(task_id))["status"] == "processing"
        async with caller.socket(task_id, "new") as ws:
            await ws.send_str(prompt("asleep?"))
            assert [one.type for one in await heard_until(ws, "ping")] == ["user-input", "ping"]
        assert (await caller.info(task_id))["virtualmachine"]["status"] == "hibernated"
        async with caller.socket(task_id, channel="control") as ws:
            await _until_vm(caller, task_id, "online")
            for _ in range(5):  # longer than the sleep timer: the control socket keeps it awake
                await heard_until(ws, "ping")
            assert "“awake”" in answer_of(await caller.follow(task_id, "awake"))
        await _until_vm(caller, task_id, "hibernated")


async def test_a_turn_keeps_its_machine_awake_and_idleness_recycles_it() -> None:
    environ = {"HOWLER_SANDBOX_SLEEP_S": "0.1", "HOWLER_SANDBOX_RECYCLE_S": "0.8"}
    async with Sandbox(**environ) as sandbox, Caller(sandbox.url) as caller:
        task_id = await caller.create("/silence 0.6")
        frames = await caller.follow(task_id)
        assert frames[-1].type == "task-ended"
        info = await caller.until(task_id, "finished")
        assert info["virtualmachine"]["status"] == "offline"


async def _until_vm(caller: Caller, task_id: str, status: str) -> None:
    while (await caller.info(task_id))["virtualmachine"]["status"] != status:
        await asyncio.sleep(0.02)


async def test_handshake_failures_are_plain_http(caller: Caller) -> None:
    unknown = "/api/v1/users/tasks/control?id=7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"
    assert (await caller.call("GET", unknown)).code == 500
    assert (await caller.call("GET", unknown, headers={"Cookie": ""})).text == "Unauthorized"
