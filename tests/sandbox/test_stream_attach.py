"""Stream sockets of mode=attach, and the stored log (protocol §5.7, §5.8, §6.8), over real sockets."""

import asyncio
import base64
import itertools
import json

import pytest

from tests.support.sandbox import Caller, Heard, Sandbox, answer_of, hear, heard_until, prompt

TASKS = "/api/v1/users/tasks"


def _seqs(frames: list[Heard]) -> list[int]:
    return [frame.seq for frame in frames]


async def test_the_first_turn_runs_from_content_and_is_seen_live(caller: Caller) -> None:
    task_id = await caller.create("/pace 5 20")
    frames = await caller.follow(task_id)  # attached while pending: waits, then sees all
    assert [frame.type for frame in frames[:2]] == ["user-input", "task-started"]
    assert answer_of(frames) == "tok0 tok1 tok2 tok3 tok4 "


async def test_a_replay_is_folded_and_ends_the_socket(caller: Caller) -> None:
    task_id = await caller.create("/think")
    live = await caller.follow(task_id)
    async with caller.socket(task_id) as ws:
        replayed = await heard_until(ws, "task-ended")
        with pytest.raises(asyncio.TimeoutError):
            await ws.receive(timeout=0.4)  # the turn is over: no pings, no close
    assert answer_of(replayed) == answer_of(live)
    thoughts = [one for one in replayed if one.update.get("sessionUpdate") == "agent_thought_chunk"]
    assert len(thoughts) == 1
    assert thoughts[0].seq == 3  # the start of the merged range
    assert thoughts[0].update["content"]["text"].startswith("Thought 1. Thought 2. ")
    assert len(replayed) < len(live)
    assert all(one.timestamp <= two.timestamp for one, two in itertools.pairwise(replayed))


async def test_a_folded_row_may_stand_behind_rows_of_higher_seq(caller: Caller) -> None:
    """§6.8: an update that does not part a message is replayed before the merged message."""
    task_id = await caller.create("/plan")
    await caller.follow(task_id)
    seqs = _seqs(await caller.follow(task_id))
    assert seqs != sorted(seqs)


async def test_older_turns_show_as_a_cursor_and_only_the_latest_is_replayed(caller: Caller) -> None:
    task_id = await caller.create("first")
    assert not any(frame.type == "cursor" for frame in await caller.follow(task_id))
    await caller.follow(task_id, "second")
    frames = await caller.follow(task_id)
    assert frames[0].type == "cursor"
    assert frames[0].payload == {"cursor": "2", "has_more": True}
    assert "You said: “second”." in answer_of(frames)
    assert sum(frame.type == "user-input" for frame in frames) == 1


async def test_an_attach_in_mid_turn_loses_and_doubles_nothing(caller: Caller) -> None:
    task_id = await caller.create("/pace 40 5")
    await caller.until(task_id, "processing")
    for wait in (0.03, 0.03, 0.05):
        await asyncio.sleep(wait)
        frames = await caller.follow(task_id) if wait == 0.05 else await _part(caller, task_id)
        assert frames[0].type == "user-input"
    assert answer_of(frames) == "".join(f"tok{number} " for number in range(40))


async def _part(caller: Caller, task_id: str) -> list[Heard]:
    async with caller.socket(task_id) as ws:
        return [hear(await ws.receive_str()) for _ in range(3)]


async def test_any_other_mode_is_attach(caller: Caller) -> None:
    task_id = await caller.create("hello")
    await caller.follow(task_id)
    async with caller.socket(task_id, "whatever") as ws:
        assert (await heard_until(ws, "task-ended"))[0].type == "user-input"
    async with caller.socket(task_id, "") as ws:
        assert hear(await ws.receive_str()).type == "ping"  # empty is new: no replay


async def test_pings_come_while_nothing_else_does(caller: Caller) -> None:
    task_id = await caller.create("/mute")
    async with caller.socket(task_id) as ws:
        for _ in range(3):
            await heard_until(ws, "ping")


async def test_the_input_of_the_first_turn_is_synthesized_where_the_log_has_none(sandbox: Sandbox) -> None:
    await sandbox.faults(platform={"log_first_input": False, "repeat_input": False})
    async with Caller(sandbox.url) as caller:
        task_id = await caller.create("hello")
        await caller.until(task_id, "processing")
        frames = await caller.follow(task_id)
        replayed = await caller.follow(task_id)
        assert (replayed[0].type, replayed[0].seq) == ("user-input", 0)
        created_at = (await caller.info(task_id))["created_at"]
        assert replayed[0].timestamp == created_at * 1000
        assert answer_of(frames) == answer_of(replayed)
        live = await caller.follow(task_id, "again")
        assert sum(frame.type == "user-input" for frame in live) == 1  # the echo alone
        rounds = (await caller.call("GET", f"{TASKS}/rounds?id={task_id}&direction=forward&limit=1")).data
        assert rounds["chunks"][0]["event"] == "user-input"
        assert "seq" not in rounds["chunks"][0]


async def test_rounds_hold_the_log(caller: Caller) -> None:
    task_id = await caller.create("one")
    await caller.follow(task_id)
    for text in ("two", "three"):
        await caller.follow(task_id, text)
    page = (await caller.call("GET", f"{TASKS}/rounds?id={task_id}")).data
    assert list(dict.fromkeys(chunk["turn_seq"] for chunk in page["chunks"])) == [3, 2]
    assert page["has_more"] is True
    rest = (await caller.call("GET", f"{TASKS}/rounds?id={task_id}&cursor={page['next_cursor']}")).data
    assert {chunk["turn_seq"] for chunk in rest["chunks"]} == {1}
    assert rest["has_more"] is False
    assert "next_cursor" not in rest
    first = rest["chunks"][0]
    assert first["event"] == "user-input"
    assert "type" not in first
    assert json.loads(base64.b64decode(first["data"])) == {"content": "b25l", "attachments": []}
    assert first["timestamp"] > 10**18  # nanoseconds
    started = next(chunk for chunk in rest["chunks"] if chunk["event"] == "task-started")
    assert "data" not in started
    forward = (await caller.call("GET", f"{TASKS}/rounds?id={task_id}&direction=forward&limit=99")).data
    assert list(dict.fromkeys(chunk["turn_seq"] for chunk in forward["chunks"])) == [1, 2, 3]
    same = (await caller.call("GET", f"{TASKS}/rounds?id={task_id}&cursor=2&inclusive=true&limit=1")).data
    assert {chunk["turn_seq"] for chunk in same["chunks"]} == {2}
    assert (await caller.call("GET", f"{TASKS}/rounds?id={task_id}&cursor=x")).code == 10000


async def test_user_inputs_are_listed_newest_first(caller: Caller) -> None:
    task_id = await caller.create("one")
    await caller.follow(task_id)
    await caller.follow(task_id, "x" * 600)
    page = (await caller.call("GET", f"{TASKS}/user-inputs?id={task_id}&limit=1")).data
    (item,) = page["items"]
    assert item["content"] == "x" * 500
    assert item["truncated"] is True
    assert item["timestamp"] % 1_000_000 == 0
    assert item["id"] == f"user-input-{item['timestamp']}"
    assert page["has_more"] is True
    rest = (await caller.call("GET", f"{TASKS}/user-inputs?id={task_id}&cursor={page['next_cursor']}")).data
    assert [one["content"] for one in rest["items"]] == ["one"]


async def test_a_public_stream_is_read_only(caller: Caller) -> None:
    task_id = await caller.create("/mute")
    await caller.until(task_id, "processing")
    url = f"{TASKS}/public-stream?id={task_id}"
    async with caller.http.ws_connect(url, headers={"Cookie": ""}) as ws:
        await heard_until(ws, "task-started")
        await ws.send_str('{"type":"user-cancel"}')
        await ws.send_str(prompt("ignored"))
        await heard_until(ws, "ping")
        await heard_until(ws, "ping")
    missing = await caller.call("GET", f"{TASKS}/public-stream?id=7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11")
    assert missing.code == 10002
