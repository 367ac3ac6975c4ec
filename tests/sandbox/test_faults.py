"""The faults that a test can order, and the oracle that tells what came in."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.sandbox import Caller, Sandbox, answer_of, hear, heard_until, prompt, say

TASKS = "/api/v1/users/tasks"


@pytest.fixture
async def caller(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """The first account of a sandbox that this test may harm."""
    async with Caller(sandbox.url) as one:
        yield one


async def _received(ws: aiohttp.ClientWebSocketResponse[bool]) -> tuple[list[str], aiohttp.WSMessage]:
    texts = []
    while (message := await ws.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
        texts.append(message.data)
    return texts, message


@pytest.mark.parametrize("cut", ["fin", "rst"])
@pytest.mark.parametrize("at", [1, 137, 400, 700])
async def test_a_stream_is_cut_at_byte_n(sandbox: Sandbox, caller: Caller, at: int, cut: str) -> None:
    task_id = await caller.create("hello")
    whole = await caller.follow(task_id)
    await sandbox.faults(stream={"cut_after_bytes": at, "cut": cut, "sockets": 1})
    async with caller.socket(task_id) as ws:
        texts, _ = await _received(ws)
        assert ws.close_code == 1006
    # A frame's head is 2 or 4 bytes: what came whole fits below the cut, and the next one would not.
    assert sum(len(text.encode()) + 2 for text in texts) <= at
    assert all(json.loads(text) for text in texts)
    assert answer_of(await caller.follow(task_id)) == answer_of(whole)  # the one socket is used up


async def test_cuts_after_frames_close_as_ordered(sandbox: Sandbox, caller: Caller) -> None:
    task_id = await caller.create("hello")
    await caller.follow(task_id)
    await sandbox.faults(stream={"cut_after_frames": 2, "cut": "close", "mode": "attach"})
    async with caller.socket(task_id) as ws:
        texts, _ = await _received(ws)
        assert (len(texts), ws.close_code) == (2, 1011)
    assert "“unharmed”" in answer_of(await caller.follow(task_id, "unharmed"))  # mode=new is not meant


async def test_task_ended_is_dropped_live_or_always() -> None:
    async with Sandbox(HOWLER_SANDBOX_PING_S="0.05") as fast, Caller(fast.url) as caller:
        task_id = await caller.create("hello")
        await caller.follow(task_id)
        await fast.faults(stream={"drop_task_ended": "live"})
        async with caller.socket(task_id, "new") as ws:
            await ws.send_str(prompt("again"))
            await heard_until(ws, "ping")
            types = [frame.type for frame in await heard_until(ws, "ping")]
            assert types == ["ping"]
        assert (await caller.follow(task_id))[-1].type == "task-ended"
        await fast.faults(stream={"drop_task_ended": "always"})
        async with caller.socket(task_id) as ws:
            types = [frame.type for frame in await heard_until(ws, "ping")]
            assert "task-running" in types
            assert "task-ended" not in types


async def test_a_socket_closes_instead_of_task_ended(sandbox: Sandbox, caller: Caller) -> None:
    task_id = await caller.create("hello")
    await caller.follow(task_id)
    await sandbox.faults(stream={"close_at_task_ended": True, "sockets": 1})
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("again"))
        texts, _ = await _received(ws)
        assert ws.close_code == 1006
    assert hear(texts[-1]).type == "task-running"
    assert "“again”" in answer_of(await caller.follow(task_id))


async def test_failed_attaches_ping_on_and_failed_subscriptions_do_not() -> None:
    async with Sandbox(HOWLER_SANDBOX_PING_S="0.05") as fast, Caller(fast.url) as one:
        task_id = await one.create("/mute")
        await fast.faults(stream={"attach_fails": True, "sockets": 1})
        async with one.socket(task_id) as ws:
            frame = hear(await ws.receive_str())
            assert (frame.type, frame.payload) == ("error", "failed to attach stream: task not found")
            await heard_until(ws, "ping")
        await fast.faults(stream={"subscribe_fails": True, "sockets": 1})
        async with one.socket(task_id) as ws:
            assert hear(await ws.receive_str()).payload.startswith("failed to subscribe realtime stream: ")
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive(timeout=0.3)


async def test_pings_stop() -> None:
    async with Sandbox(HOWLER_SANDBOX_PING_S="0.05") as fast, Caller(fast.url) as one:
        task_id = await one.create("/mute")
        await fast.faults(stream={"stop_pings": True})
        async with one.socket(task_id) as ws:
            await heard_until(ws, "task-started")
            with pytest.raises(asyncio.TimeoutError):
                await ws.receive(timeout=0.3)


async def test_a_store_that_lags_leaves_a_gap_at_the_seam(sandbox: Sandbox, caller: Caller) -> None:
    """§6.8, 3: a chunk stamped before the attach but not yet stored is lost."""
    await sandbox.faults(platform={"ingest_lag_ms": 200, "fold": False})
    task_id = await caller.create("/pace 100000 10")
    while (await sandbox.state())["tasks"][0]["frames_logged"] < 40:
        await asyncio.sleep(0.01)
    async with caller.socket(task_id) as ws:
        before, after = 0, hear(await ws.receive_str()).seq
        while after <= before + 1:  # until the gap
            before, after = after, hear(await ws.receive_str()).seq
    assert before > 0


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"do": "status", "status": 502}, 502, None),
        ({"do": "code", "code": 500}, 200, 500),
        ({"do": "code", "code": 10811}, 200, 10811),
        ({"do": "unauthorized"}, 401, None),
    ],
)
async def test_the_next_requests_of_a_route_fail(
    sandbox: Sandbox, caller: Caller, fault: dict[str, object], status: int, code: int | None
) -> None:
    await sandbox.faults(routes=[{"path": "/api/v1/users/models", "times": 2, **fault}])
    for _ in range(2):
        answer = await caller.call("GET", "/api/v1/users/models")
        assert answer.status == status
        if code is not None:
            assert answer.code == code
    assert (await caller.call("GET", "/api/v1/users/models")).code == 0


@pytest.mark.parametrize(("when", "tasks"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("do", ["drop", "hang", "status"])
async def test_an_answer_is_lost_before_or_after_the_effect(
    sandbox: Sandbox, caller: Caller, do: str, when: str, tasks: int
) -> None:
    order = await caller.order("hello")
    await sandbox.faults(routes=[{"method": "POST", "path": TASKS, "do": do, "when": when, "seconds": 0.1}])
    if do == "status":
        assert (await caller.call("POST", TASKS, order)).status == 500
    else:
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.call("POST", TASKS, order)
    listed = (await caller.call("GET", TASKS)).data
    assert listed["page_info"]["total_count"] == tasks


async def test_handshakes_meet_route_faults_too(sandbox: Sandbox, caller: Caller) -> None:
    task_id = await caller.create("hello")
    await sandbox.faults(routes=[{"path": f"{TASKS}/stream", "do": "status", "status": 502}])
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await caller.follow(task_id)
    assert refused.value.status == 502
    assert answer_of(await caller.follow(task_id))


async def test_a_lost_machine_tells_nothing() -> None:
    async with Sandbox(HOWLER_SANDBOX_PING_S="0.05") as fast, Caller(fast.url) as one:
        task_id = await one.create("/mute")
        async with one.socket(task_id) as ws:
            await heard_until(ws, "task-started")
            await fast.faults(machines={"kill": [task_id]})
            for _ in range(3):
                assert [frame.type for frame in await heard_until(ws, "ping")] == ["ping"]
        info = await one.info(task_id)
        assert (info["status"], info["virtualmachine"]["status"]) == ("processing", "offline")


async def test_a_stopped_task_ends_its_turn_unless_silent(sandbox: Sandbox, caller: Caller) -> None:
    task_id = await caller.create("/mute")
    async with caller.socket(task_id) as ws:
        await heard_until(ws, "task-started")
        await caller.call("PUT", f"{TASKS}/stop", {"id": task_id})
        assert [frame.type for frame in await heard_until(ws, "task-ended")] == ["task-ended"]
    await sandbox.faults(platform={"silent_stop": True})
    task_id = await caller.create("/mute")
    async with caller.socket(task_id) as ws:
        await heard_until(ws, "task-started")
        await caller.call("PUT", f"{TASKS}/stop", {"id": task_id})
        with pytest.raises(asyncio.TimeoutError):
            await ws.receive(timeout=0.2)


async def test_orders_that_make_no_sense_are_refused(caller: Caller) -> None:
    for order in (b"{", b'{"stream":{"cut":"sideways"}}', b'{"sockets":{}}', b'{"routes":[{}]}'):
        answer = await caller.call("PUT", "/__sandbox/faults", data=order)
        assert answer.status == 400
        assert answer.json["error"]


async def test_the_oracle_tells_what_came_in(sandbox: Sandbox, caller: Caller) -> None:
    task_id = await caller.create("hello", system_prompt="be brief")
    await caller.follow(task_id)
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str("nonsense")
        await ws.send_str(prompt("again"))
        await heard_until(ws, "task-ended")
        state = await sandbox.state()
        assert (state["sockets"]["stream"], state["sockets"]["control"]) == (1, 0)
    (task,) = state["tasks"]
    assert [(turn["via"], turn["prompt"], turn["ending"]) for turn in task["turns"]] == [
        ("create", "hello", "completed"),
        ("new", "again", "completed"),
    ]
    assert task["system_prompt"] == "be brief"
    assert [frame["outcome"] for frame in state["frames"]] == ["dropped: not JSON", "forwarded"]
    assert state["requests"][f"POST {TASKS}"] == 1
    record = next(one for one in state["request_log"] if one["route"] == f"POST {TASKS}")
    assert (record["account"], record["status"]) == (caller.account["email"], 200)
    assert not {name.lower() for name in record["headers"]} & {"cookie", "authorization"}
    account = next(one for one in state["accounts"] if one["email"] == caller.account["email"])
    assert account["active_tasks"] == 1


async def test_a_control_call_is_answered_with_nothing(sandbox: Sandbox, caller: Caller) -> None:
    """§8: the payload is `null`, without a request_id, when the VM's side gave no data."""
    task_id = await caller.create("hello")
    await caller.follow(task_id)
    await sandbox.faults(platform={"empty_calls": True})
    async with caller.socket(task_id, channel="control") as ws:
        await ws.send_str(say("call", {"request_id": "r1"}, "repo_file_changes"))
        frame = (await heard_until(ws, "call-response"))[-1]
    assert (frame.kind, frame.payload) == ("repo_file_changes", None)


async def test_stats_stand_in_info_so_long_after_their_turn(sandbox: Sandbox, caller: Caller) -> None:
    """Protocol §5.3: cumulative, written by the cloud only, may lag."""

    async def stats(lag_ms: float | None) -> dict[str, int] | None:
        await sandbox.faults(platform={"stats_lag_ms": lag_ms})
        told: dict[str, int] | None = (await caller.info(task_id)).get("stats")
        return told

    task_id = await caller.create("hello")
    await caller.follow(task_id)
    assert await stats(None) is None
    assert await stats(3_600_000) is None
    first = await stats(0)
    assert first is not None
    assert first["llm_requests"] == 1
    assert first["total_tokens"] == first["input_tokens"] + first["output_tokens"]
    await caller.follow(task_id, "again")
    second = await stats(0)
    assert second is not None
    assert second["llm_requests"] == 2
    assert second["input_tokens"] > first["input_tokens"]
    assert second["output_tokens"] > first["output_tokens"]
