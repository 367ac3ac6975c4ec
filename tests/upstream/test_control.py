"""The control socket: calls answered, refused, forgotten, cut off (upstream-protocol §8)."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Session, TaskId
from server.turn.awake import awake
from server.upstream.errors import Undecided
from server.upstream.platform import NewTask, Platform
from tests.support.sandbox import Sandbox, accounts
from tests.upstream.stand_in import SESSION, Handler, platform, says, upstream

TASK = TaskId("0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001")
OWNER = Session(AccountId("acc_1"), accounts()[0]["cookie"])


def serves(*answers: Any) -> Handler:
    """Return a control endpoint that answers call after call, with None as the payload `null`.

    An answer without a request_id gets the call's; a list is several answers, perhaps none.
    """

    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        left = list(answers)
        async for message in socket:
            call = json.loads(message.data)
            request_id = json.loads(base64.b64decode(call["data"]))["request_id"]
            answer = left.pop(0)
            for one in answer if isinstance(answer, list) else [answer]:
                payload = {"request_id": request_id} | one if isinstance(one, dict) else one
                data = base64.b64encode(json.dumps(payload).encode()).decode()
                frame = {"type": "call-response", "kind": call["kind"], "data": data}
                await socket.send_str('{"type":"ping","data":null,"kind":"","timestamp":0}')
                await socket.send_str(json.dumps(frame))
        return socket

    return handler


async def refusal(made: Platform, kind: str = "repo_read_file", **fields: Any) -> ServiceError:
    async with made.control(SESSION, TASK) as control:
        with pytest.raises(ServiceError) as raised:
            await control.call(kind, fields)
    return raised.value


async def test_answers_find_their_calls() -> None:
    """By request_id, whatever else is told in between."""
    stray, wanted = {"request_id": "r9", "success": True}, {"success": True, "content": "QQ=="}
    async with (
        platform(GET_users_tasks_control=serves([stray, wanted], {"success": True})) as made,
        made.control(SESSION, TASK) as control,
    ):
        assert (await control.call("repo_read_file", {"path": "a"}))["content"] == "QQ=="
        assert await control.call("restart", {}) == {"request_id": "r2", "success": True}


async def test_calls_at_once() -> None:
    """The second call's answer comes first."""
    answers = serves([], [{"request_id": "r2", "ports": []}, {"request_id": "r1", "ports": [1]}])
    async with platform(any=answers) as made, made.control(SESSION, TASK) as control:
        calls = (control.call("port_forward_list", {}), control.call("port_forward_list", {}))
        assert [told.get("ports") for told in await asyncio.gather(*calls)] == [[1], []]


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ({"success": False, "error": "no such file"}, "FILE_NOT_FOUND", "no such file"),
        ({"success": False, "error": "open a.txt: file does not exist"}, "FILE_NOT_FOUND", "does not exist"),
        ({"error": "open x: permission denied"}, "UPSTREAM_FORBIDDEN", "permission"),
        ({"success": False, "error": "virtual machine is offline"}, "VM_FAILED", "offline"),
        ({"success": False, "error": ""}, "UPSTREAM_ERROR", "repo_read_file"),
        ({"success": False, "error": "a\nb\x1b[0m" + "x" * 999}, "UPSTREAM_ERROR", "a b [0m"),
        (None, "UPSTREAM_UNAVAILABLE", "empty"),
    ],
)
async def test_calls_that_fail(answer: Any, reason: str, words: str) -> None:
    async with platform(any=serves([answer])) as made:
        error = await refusal(made)
    assert (reason_name(error.reason), words in error.message) == (reason, True), error
    assert len(error.message) < 400
    assert isinstance(error, Undecided) is (answer is None)


async def test_what_is_not_found_is_a_file_only_where_files_are_asked_for() -> None:
    async with platform(any=serves({"success": False, "error": "model not found"})) as made:
        assert reason_name((await refusal(made, "switch_model")).reason) == "UPSTREAM_ERROR"


async def test_a_call_that_stays_unanswered() -> None:
    """An unknown kind is never answered (§8); the socket serves the next call all the same."""
    async with (
        upstream(any=serves([], {"success": True})) as url,
        Platform(url, read_timeout=2.0) as made,
        made.control(SESSION, TASK) as control,
    ):
        with pytest.raises(Undecided) as raised:
            await control.call("teleport", {})
        assert "teleport" in raised.value.message
        assert (await control.call("restart", {}))["success"] is True


async def test_a_socket_that_closes_with_a_call_under_way() -> None:
    async def closes(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.close()
        return socket

    async with platform(any=closes) as made, made.control(SESSION, TASK) as control:
        for _ in range(2):
            with pytest.raises(ServiceError) as raised:
                await control.call("restart", {})
            assert reason_name(raised.value.reason) == "UPSTREAM_LOST"


async def test_a_call_that_no_frame_can_hold() -> None:
    """32,768 bytes (§6.1): it is refused before it is written, and the socket lives."""
    async with platform(any=serves({"success": True})) as made, made.control(SESSION, TASK) as control:
        with pytest.raises(ServiceError) as raised:
            await control.call("repo_read_file", {"path": "x" * 32_768})
        assert reason_name(raised.value.reason) == "INVALID_REQUEST"
        assert await control.call("repo_read_file", {"path": "x"})


async def test_a_task_that_is_not_the_accounts() -> None:
    async with platform(any=says(code=500, message="no")) as made:
        with pytest.raises(ServiceError) as raised:
            async with made.control(SESSION, TASK):
                raise AssertionError("opened")
    assert reason_name(raised.value.reason) == "TASK_NOT_FOUND"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


async def test_a_vm_that_hibernates_is_woken(sandbox: Sandbox) -> None:
    """§8: the control socket resumes it; the calls wait until it runs."""
    async with Platform(sandbox.url, read_timeout=60.0) as made:
        model = (await made.models(OWNER))[0].upstream_id
        task_id = await made.create_task(OWNER, NewTask("hello", model))
        async with asyncio.timeout(60):
            while (await made.task(OWNER, task_id)).vm_status != "online":
                await asyncio.sleep(0.02)
        await sandbox.faults(machines={"hibernate": [task_id]})
        assert (await made.task(OWNER, task_id)).vm_status == "hibernated"
        async with awake(made, OWNER, task_id, 20.0) as control:
            assert (await control.call("restart", {"load_session": True}))["session_id"]
        await sandbox.faults(machines={"kill": [task_id]})
        with pytest.raises(ServiceError) as raised:
            async with awake(made, OWNER, task_id, 20.0):
                raise AssertionError("a lost VM is not awake")
        assert reason_name(raised.value.reason) == "VM_FAILED"
        await made.stop_task(OWNER, task_id)
        with pytest.raises(ServiceError) as raised:
            async with awake(made, OWNER, task_id, 20.0):
                raise AssertionError("a stopped task is not awake")
        assert reason_name(raised.value.reason) == "TASK_ENDED"
        with pytest.raises(ServiceError) as raised:
            async with awake(made, OWNER, TASK, 20.0):
                raise AssertionError("there is no such task")
        assert reason_name(raised.value.reason) == "TASK_ENDED"
