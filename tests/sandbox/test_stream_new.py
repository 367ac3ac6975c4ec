"""Stream sockets of mode=new, and what a client may send (protocol §6), over real sockets."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.support.sandbox import Caller, Heard, answer_of, hear, heard_until, prompt, say

STREAM = "/api/v1/users/tasks/stream"


@pytest.fixture
async def task_id(caller: Caller) -> str:
    """A task whose first turn is over."""
    task_id = await caller.create("first")
    await caller.follow(task_id)
    return task_id


async def _silence(ws: "aiohttp.ClientWebSocketResponse[bool]", pings: int = 3) -> None:
    """Expect nothing but pings."""
    for _ in range(pings):
        assert await heard_until(ws, "ping") == [Heard("ping", "", 0, 0, None)]


async def test_the_first_input_is_echoed_and_answered(caller: Caller, task_id: str) -> None:
    frames = await caller.follow(task_id, "hello")
    echo, own, started = frames[:3]
    assert (echo.type, echo.seq) == ("user-input", 0)
    assert echo.payload == {"content": base64.b64encode(b"hello").decode(), "attachments": []}
    assert (own.type, own.payload) == ("user-input", echo.payload)
    assert own.seq > 0
    assert (started.type, started.payload) == ("task-started", None)
    assert "You said: “hello”. This is turn 2; before that you said “first”." in answer_of(frames)
    assert [frame.seq for frame in frames[1:]] == list(range(own.seq, own.seq + len(frames) - 1))
    assert frames[-1].payload is None


@pytest.mark.parametrize(
    ("payload", "taken"),
    [
        (b"plain bytes", "plain bytes"),
        (b'{"encoding":"plaintext","content":"stored"}', "stored"),
        (b'{"content":"aGVsbG8="}', "hello"),
        # Forgetting the inner base64 sends the JSON text itself.
        (b'{"content":"not base64"}', '{"content":"not base64"}'),
        (b'{"content":"","attachments":[]}', '{"content":"","attachments":[]}'),
        (b"\xffbad", "\ufffdbad"),
    ],
)
async def test_prompts_are_read_in_three_forms(
    caller: Caller, task_id: str, payload: bytes, taken: str
) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_json({"type": "user-input", "data": base64.b64encode(payload).decode()})
        frames = await heard_until(ws, "task-ended")
    assert f"You said: “{taken}”." in answer_of(frames)


@pytest.mark.parametrize(
    "frame",
    [
        '{"TYPE":"user-input","Data":"aGVsbG8="}',
        '{"type":"user-input","data":[104,101,108,108,111]}',
        '{"type":"user-input","data":"aGVs\\r\\nbG8=","seq":7,"timestamp":-1,"more":{}}',
        b'{"type":"user-input","data":"aGVsbG8="}',
        '{"type":"ping","type":"user-input","data":"aGVsbG8="}',
    ],
)
async def test_frames_are_read_as_go_reads_them(caller: Caller, task_id: str, frame: str | bytes) -> None:
    async with caller.socket(task_id, "new") as ws:
        await (ws.send_bytes(frame) if isinstance(frame, bytes) else ws.send_str(frame))
        frames = await heard_until(ws, "task-ended")
    assert "You said: “hello”." in answer_of(frames)


async def test_a_plain_string_that_is_base64_is_used_as_garbage(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str('{"type":"user-input","data":"hellohel"}')
        frames = await heard_until(ws, "task-ended")
    garbage = base64.b64decode("hellohel").decode("utf-8", "replace")
    assert f"You said: “{garbage}”." in answer_of(frames)


@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        '"text"',
        '{"type":"user-input","data":{"content":"aGVsbG8="}}',
        '{"type":"user-input","data":"hello"}',
        '{"type":"user-input","data":"aGVsbG8"}',
        '{"type":"user-input","data":"_-8="}',
        '{"type":"user-input","data":[256]}',
        '{"type":"user-input","data":[1.5]}',
        '{"type":"user-input","data":true}',
        '{"type":"user-input","data":"aGVsbG8=","seq":-1}',
        '{"type":7,"data":"aGVsbG8="}',
        '{"type":"user_input","data":"aGVsbG8="}',
        '{"type":"ping"}',
        '{"type":"permission-resp","data":"e30="}',
        '{"type":"call","kind":"restart","data":"e30="}',
    ],
)
async def test_what_cannot_be_read_is_dropped_in_silence(caller: Caller, task_id: str, frame: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(frame)
        await _silence(ws)
        await ws.send_str(prompt("still here"))  # the socket lives
        assert "“still here”" in answer_of(await heard_until(ws, "task-ended"))


async def test_text_that_is_no_utf8_does_not_close_the_socket(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
        await _silence(ws)


@pytest.mark.parametrize("attachments", [(), ({"url": "http://elsewhere.example/x", "filename": "x"},)])
async def test_refused_prompts_are_echoed_and_then_nothing(
    caller: Caller, task_id: str, attachments: tuple[dict[str, str], ...]
) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("text" if attachments else "  ", attachments))
        assert hear(await ws.receive_str()).type == "user-input"
        await _silence(ws)


async def test_the_inbound_limit_is_to_the_byte(caller: Caller, task_id: str) -> None:
    empty = len(json.dumps({"type": "ping", "x": ""}))
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(json.dumps({"type": "ping", "x": "y" * (32_768 - empty)}))
        await _silence(ws)
        await ws.send_str(json.dumps({"type": "ping", "x": "y" * (32_769 - empty)}))
        await _closed(ws, 1009)


async def test_the_largest_prompt_of_one_frame(caller: Caller, task_id: str) -> None:
    """§6.4: 18,390 bytes in the canonical form, written without blanks."""
    text = "p" * 18_390
    inner = json.dumps(
        {"content": base64.b64encode(text.encode()).decode(), "attachments": []}, separators=(",", ":")
    )
    frame = json.dumps(
        {"type": "user-input", "data": base64.b64encode(inner.encode()).decode()}, separators=(",", ":")
    )
    assert len(frame) <= 32_768
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(frame)
        assert "That is 18390 characters" in answer_of(await heard_until(ws, "task-ended"))


async def _closed(ws: "aiohttp.ClientWebSocketResponse[bool]", code: int) -> Any:
    while True:
        message = await ws.receive(timeout=60)
        if message.type is not aiohttp.WSMsgType.TEXT:
            assert ws.close_code == code
            return message


async def test_after_task_ended_the_socket_is_silent_but_open(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("hello"))
        await heard_until(ws, "task-ended")
        with pytest.raises(asyncio.TimeoutError):  # pings would come every 0.1 s
            await ws.receive(timeout=0.5)
        await ws.send_str(prompt("lost"))
        message = await _closed(ws, 1000)
        assert message.extra == "close"
    answer = answer_of(await caller.follow(task_id, "what now"))
    assert "This is turn 3; before that you said “first” and “hello”." in answer


async def test_an_input_during_a_turn_is_forwarded_without_echo(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("/silence 0.3"))
        await heard_until(ws, "task-started")
        await ws.send_str(prompt("queued"))
        frames = await heard_until(ws, "task-ended")
    assert not any(frame.type == "user-input" for frame in frames)
    frames = await caller.follow(task_id)
    assert "“queued”" in answer_of(frames)


async def test_cancel_ends_the_turn_and_keeps_the_task(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("/mute"))
        await heard_until(ws, "task-started")
        await _silence(ws)
        await ws.send_str(say("user-cancel"))
        assert [frame.type for frame in await heard_until(ws, "task-ended")] == ["user-cancel", "task-ended"]
    assert (await caller.info(task_id))["status"] == "processing"
    assert "“/mute”" in answer_of(await caller.follow(task_id, "and now"))


async def test_user_stop_finishes_the_task(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "attach") as ws, caller.socket(task_id, "new") as second:
        await heard_until(ws, "task-ended")
        await second.send_str(say("user-stop"))
        await caller.until(task_id, "finished")
    for mode in ("new", "attach"):
        async with caller.socket(task_id, mode) as ws:
            frame = hear(await ws.receive_str())
            assert (frame.type, frame.payload) == ("error", "no virtual machine or host for task")
            await _closed(ws, 1000)


async def test_several_sockets_see_one_turn(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("/pace 10 30"))
        await heard_until(ws, "task-started")
        watched, said = await asyncio.gather(caller.follow(task_id), heard_until(ws, "task-ended"))
    text = "".join(f"tok{number} " for number in range(10))
    assert answer_of(watched) == text
    assert answer_of(said) == text


async def test_a_question_waits_for_its_answer_and_confirms_it(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        await ws.send_str(prompt("/ask"))
        while (frame := hear(await ws.receive_str())).kind != "acp_ask_user_question":
            pass
        call = frame.payload["toolCall"]
        assert call["rawInput"]["questions"][0]["question"] == "Which pipeline?"
        reply = {"request_id": "another", "answers_json": "{}", "cancelled": False}
        await ws.send_str(say("reply-question", reply))
        reply = {
            "request_id": call["toolCallId"],
            "answers_json": '{"Which pipeline?":"all"}',
            "cancelled": False,
        }
        await ws.send_str(say("reply-question", reply))
        frames = await heard_until(ws, "task-ended")
    assert [frame.payload for frame in frames if frame.type == "reply-question"] == [reply]
    assert "You answered: Which pipeline? all." in answer_of(frames)


async def test_a_question_that_nobody_answers_expires(caller: Caller, task_id: str) -> None:
    frames = await caller.follow(task_id, "/ask2")
    calls = [frame.update for frame in frames if frame.update.get("toolCallId")]
    assert len(calls[0]["rawInput"]["questions"]) == 2
    assert calls[-1]["status"] == "failed"


async def test_handshake_failures_are_plain_http(caller: Caller, other: Caller, task_id: str) -> None:
    unknown = "7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"
    missing = await caller.call("GET", f"{STREAM}?id={unknown}&mode=new")
    assert (missing.status, missing.code) == (200, 500)
    assert (await other.call("GET", f"{STREAM}?id={task_id}")).code == 500
    assert (await caller.call("GET", f"{STREAM}?id=x")).status == 400
    assert (await caller.call("GET", STREAM)).status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await caller.http.ws_connect(f"{STREAM}?id={unknown}")
    assert refused.value.status == 200


async def test_compression_and_subprotocols_are_declined(caller: Caller, task_id: str) -> None:
    url = f"{STREAM}?id={task_id}&mode=new"
    async with caller.http.ws_connect(url, compress=15, protocols=["v1"], origin="http://x.example") as ws:
        assert ws.compress == 0
        assert ws.protocol is None


async def test_rfc_pings_get_pongs(caller: Caller, task_id: str) -> None:
    url = f"{STREAM}?id={task_id}&mode=new"
    async with caller.http.ws_connect(url, autoping=False) as ws:
        await ws.ping(b"there?")
        while (message := await ws.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_auto_approve_is_taken_without_a_word(caller: Caller, task_id: str) -> None:
    async with caller.socket(task_id, "new") as ws:
        for kind in ("auto-approve", "disable-auto-approve", "auto-approve"):
            await ws.send_str(say(kind))
        await _silence(ws)
    async with caller.http.get("/__sandbox/state") as response:
        tasks = (await response.json())["tasks"]
    assert next(task["auto_approve"] for task in tasks if task["id"] == task_id) is True
