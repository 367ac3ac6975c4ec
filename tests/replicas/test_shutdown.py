"""Issue 5, durability: a server that ends in order leaves its durable turns to the next one, or another."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import CreateRequest
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Durability, QuestionPolicy
from howler.task.v1.task_event_pb2 import Continuation, EndReason

from tests.replicas.test_durable_turns import KEEP, KEPT, SECONDS, STOP, Turn
from tests.replicas.test_forwarding import started
from tests.replicas.test_replicas import two_servers
from tests.support import grammar
from tests.support.cutting import Cutting
from tests.support.front import RESPONSES, Front, response_body
from tests.support.howler import Howler, reason_of, text_of, watched
from tests.support.process import Program
from tests.support.response_judge import judge_response_stream

PACED = "/pace 150 20"
TEXT = "".join(f"tok{number} " for number in range(150))
COMPLETED = EndReason.END_REASON_COMPLETED
HASTY = {"HOWLER_SHUTDOWN_GRACE": "0"}


class Left(Turn):
    """A turn that its server leaves: `why` is what its caller was told then."""

    why: grpc.aio.AioRpcError

    def __init__(self, howler: Howler, prompt: str, **start: Any) -> None:
        super().__init__(howler, prompt, **start)
        self.prompt = prompt

    async def read(self, until: int = 1 << 30) -> None:
        try:
            while len(self.events) < until and (response := await self._call.read()) is not grpc.aio.EOF:
                self.events += response.events
        except grpc.aio.AioRpcError as error:
            self.why = error


async def agents_were_left_alone(howler: Howler, tasks: set[str]) -> None:
    """Check that these tasks still run, alone, and that no agent was told to stop."""
    state = await howler.sandbox.state()
    assert {task["id"] for task in state["tasks"] if task["status"] != "finished"} == tasks
    told = [frame["frame"] for frame in state["frames"] if frame["task_id"] in tasks]
    assert not any("user-cancel" in frame for frame in told)


async def test_a_shutdown_leaves_durable_turns_to_the_next_server(tmp_path: Path) -> None:
    """E3: nothing is said to their agents; who watches on gets the exact rest. Others end."""
    async with Howler(tmp_path, facade=False, env=HASTY) as howler:
        made = await howler.turn("first", retention=KEPT)
        spoken = (await howler.conversations.Create(CreateRequest())).conversation.conversation_id
        turns = [
            Left(howler, PACED),
            Left(howler, PACED, task_id=made[0].accepted.task_id, retention=KEPT),
            Left(howler, PACED, conversation_id=spoken, retention=KEPT),
            Left(howler, "/slowboot 2"),
            Left(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK),
        ]
        ends = Left(howler, PACED, durability=Durability.DURABILITY_EPHEMERAL)
        readings = [asyncio.create_task(turn.read()) for turn in (*turns, ends)]
        for turn, count in zip((*turns, ends), (30, 30, 30, 1, 3, 3), strict=True):
            await turn.has(count)
        waits = Left(howler, "never accepted", conversation_id=spoken)
        readings.append(asyncio.create_task(waits.read()))
        assert (await turns[0].record()).durable
        howler.server.signal(signal.SIGTERM)
        await asyncio.gather(*readings)
        assert ends.events[-1].ended.error == ErrorReason.ERROR_REASON_SHUTTING_DOWN
        assert await howler.server.ended() == 0
        assert "Traceback" not in howler.server.errors
        assert not waits.events
        for turn in (*turns, waits):
            assert (turn.why.code(), reason_of(turn.why)) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
        await agents_were_left_alone(howler, {turn.events[0].accepted.task_id for turn in turns})

        await howler.start_server()
        howler.server.signal(signal.SIGINT)  # in the middle of their adoption
        assert await howler.server.ended() == 0
        await howler.start_server()
        *paced, asks = turns
        async with asyncio.timeout(SECONDS):
            rests = await asyncio.gather(*(turn.told(after_seq=len(turn.events)) for turn in paced))
        for turn, rest in zip(paced, rests, strict=True):
            whole = turn.events + rest
            grammar.check(whole)
            assert whole[-1].ended.reason == COMPLETED
            assert await turn.told() == whole
            if "slowboot" not in turn.prompt:
                assert text_of(whole) == TEXT
        assert (await asks.record()).end_reason == EndReason.END_REASON_UNSPECIFIED
        assert await howler.turn("and now?", task_id=made[0].accepted.task_id)
        tasks = (await howler.sandbox.state())["tasks"]
        assert sorted(len(task["turns"]) for task in tasks) == [1] * 5 + [3]
        after = await howler.turn("what did I say?", conversation_id=spoken)
        assert after[0].accepted.continuation == Continuation.CONTINUATION_RESUMED


async def test_another_server_goes_on_at_once(tmp_path: Path, postgres_url: str) -> None:
    """E6: its watchers see a pause, here and over HTTP, long before a lease would lapse."""
    env = {"HOWLER_LEASE_TTL": "600", "HOWLER_SHUTDOWN_GRACE": "0"}
    async with (
        two_servers(tmp_path, postgres_url, users=2, slots=20, env=env) as two,
        Cutting(f"http://{two.one.server.address}", 0, 0) as front_door,
        Program("facade", env=facade_env(front_door), cwd=tmp_path) as facade,
        Front(facade.address) as front,
    ):
        turns = [await started(two.one, PACED, retention=STOP, on_detach=KEEP) for _ in range(4)]
        ids = [first.accepted.turn_id for first, _ in turns]
        watching = [asyncio.create_task(watched(two.two, turn_id)) for turn_id in ids]
        mine = await started(two.two, "/pace 400 20", retention=STOP, on_detach=KEEP)
        far = asyncio.create_task(watched(two.one, mine[0].accepted.turn_id))
        speaking = asyncio.Event()
        response = asyncio.create_task(streamed(front, speaking))
        async with asyncio.timeout(SECONDS):
            await speaking.wait()
        front_door.lead_to(f"http://{two.two.server.address}")
        two.one.server.signal(signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await far
        assert reason_of(raised.value) == "SHUTTING_DOWN"
        async with asyncio.timeout(SECONDS):
            wholes = await asyncio.gather(*watching)
            verdict = judge_response_stream(await response)
        for whole, turn_id in zip(wholes, ids, strict=True):
            grammar.check(whole)
            assert (text_of(whole), whole[-1].ended.reason) == (TEXT, COMPLETED)
            assert await watched(two.two, turn_id) == whole
        assert (verdict.terminal, verdict.text) == ("response.completed", TEXT)
        assert await two.one.server.ended() == 0
        assert [len(task["turns"]) for task in (await two.sandbox.state())["tasks"]] == [1] * 6


def facade_env(server: Cutting) -> dict[str, str]:
    return {"HOWLER_HTTP_ADDR": "127.0.0.1:0", "HOWLER_GRPC_TARGET": server.url.removeprefix("http://")}


async def streamed(front: Front, speaking: asyncio.Event) -> bytes:
    """Stream a response, say when it speaks, and return all that came."""
    raw = b""
    body: dict[str, Any] = response_body(PACED, stream=True)
    async with front.http.stream("POST", RESPONSES, json=body) as answer:
        async for piece in answer.aiter_bytes():
            raw += piece
            if b"tok" in raw:
                speaking.set()
    return raw
