"""Many turns at once, readers that stop reading, and the server's own life: health, reflection, shutdown."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Durability, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent
from howler.task.v1.task_service_pb2 import StreamRequest

from tests.support import grammar
from tests.support.howler import Howler, reason_of, text_of
from tests.support.script import ENDED, STARTED, TURN, Until, says
from tests.support.scripted import COOKIE, Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP = TaskRetention.TASK_RETENTION_STOP
SERVICES = {
    "howler.task.v1.TaskService",
    "howler.conversation.v1.ConversationService",
    "howler.model.v1.ModelService",
    "howler.pool.v1.PoolService",
    "howler.response.v1.ResponseService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}
NARROW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0))
"""A channel whose flow-control window stays small, so that a reader who stops reading is felt at once."""


def tokens(count: int) -> str:
    return "".join(f"tok{number} " for number in range(count))


async def test_fifty_turns_at_once_tell_every_token_once_and_in_order(howler: Howler) -> None:
    """P3.3"""
    prompts = ["/burst 400" if number % 2 else "/pace 40 10" for number in range(50)]
    turns = await asyncio.gather(*(howler.turn(prompt, retention=STOP) for prompt in prompts))
    for prompt, events in zip(prompts, turns, strict=True):
        assert text_of(events) == tokens(int(prompt.split()[1]))
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert len({events[0].accepted.task_id for events in turns}) == 50


@pytest.mark.parametrize("durability", [Durability.DURABILITY_DURABLE, Durability.DURABILITY_EPHEMERAL])
async def test_a_reader_who_stops_reading_slows_only_itself(tmp_path: Path, durability: Durability) -> None:
    """The upstream reader never waits: the turn ends, others go on, and the laggard gets all at last."""
    async with Scripted() as upstream:
        upstream.attach = [(STARTED, *[says("x" * 100_000)] * 200, ENDED), TURN]
        env = {"HOWLER_UPSTREAM_COOKIE": COOKIE, "HOWLER_ACCOUNT_SLOTS": "9"}
        async with (
            Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler,
            grpc.aio.insecure_channel(howler.server.address, options=NARROW) as channel,
        ):
            flood = StartTurn(prompt="flood", retention=STOP, durability=durability)
            call = type(howler.tasks)(channel).Stream(StreamRequest(start=flood))
            events = list((await call.read()).events)
            accepted = events[0].accepted
            await until_sockets(upstream, 1)
            assert text_of(await howler.turn("other")) == "Hi"
            async with asyncio.timeout(60):
                await upstream.sockets[0].closed.wait()
                while upstream.tasks[accepted.task_id].status != "finished":
                    await asyncio.sleep(0.02)
            while (response := await call.read()) is not grpc.aio.EOF:
                events += response.events
    grammar.check(events)
    assert text_of(events) == "x" * 20_000_000


async def test_a_reader_who_is_only_slow_gets_everything(howler: Howler) -> None:
    async with grpc.aio.insecure_channel(howler.server.address, options=NARROW) as channel:
        start = StartTurn(prompt="/burst 20000", retention=STOP)
        call = type(howler.tasks)(channel).Stream(StreamRequest(start=start))
        events: list[TaskEvent] = []
        messages = 0
        async for response in call:
            events += response.events
            messages += 1
            if messages < 20:
                await asyncio.sleep(0.02)
    grammar.check(events)
    assert text_of(events) == tokens(20_000)
    assert messages < len(events) / 2, "what comes while a message is written is gathered into the next"


async def test_health_and_reflection(howler: Howler) -> None:
    """G7"""
    health: Any = health_pb2_grpc.HealthStub(howler.channel)
    for name in ("", *(name for name in SERVICES if name.startswith("howler"))):
        told = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert told.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(howler.channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    listed = [answer async for answer in reflection.ServerReflectionInfo(asked)]
    assert {service.name for service in listed[0].list_services_response.service} == SERVICES


async def test_the_log_holds_no_answer_and_no_bug(howler: Howler) -> None:
    assert "Traceback" not in howler.server.errors
    assert "tok1 " not in howler.server.errors


async def test_a_shutdown_lets_turns_end_and_ends_those_that_do_not(tmp_path: Path) -> None:
    """M6, M8: every stream has its end; exit code 0. (Durable ones: tests/replicas/test_shutdown.py.)"""
    script = (STARTED, says("Hi"), Until("user-cancel"), ENDED)
    async with Scripted() as upstream:
        upstream.attach = [script, (STARTED, says("Hi"), Until("finish"), ENDED)]
        env = {"HOWLER_UPSTREAM_COOKIE": COOKIE, "HOWLER_ACCOUNT_SLOTS": "9", "HOWLER_SHUTDOWN_GRACE": "0.6"}
        async with Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler:
            health: Any = health_pb2_grpc.HealthStub(howler.channel)
            watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            long = asyncio.create_task(howler.turn("long", durability=Durability.DURABILITY_EPHEMERAL))
            await until_sockets(upstream, 1)
            short = asyncio.create_task(howler.turn("short"))
            await until_sockets(upstream, 2)
            await asyncio.sleep(0.1)
            howler.server.signal(signal.SIGTERM)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await howler.turn("too late")
            assert reason_of(raised.value) == "SHUTTING_DOWN"
            watch.cancel()
            await upstream.sockets[1].take('{"type":"finish"}')  # the word that its script waits for
            assert (await short)[-1].ended.reason == EndReason.END_REASON_COMPLETED
            ended = (await long)[-1].ended
            assert (ended.reason, ended.error) == (
                EndReason.END_REASON_FAILED,
                ErrorReason.ERROR_REASON_SHUTTING_DOWN,
            )
            assert await howler.server.ended() == 0
            assert "user-cancel" in upstream.sockets[0].types()
            assert "Traceback" not in howler.server.errors


async def until_sockets(upstream: Scripted, count: int) -> None:
    async with asyncio.timeout(60):
        while len(upstream.sockets) < count:
            await asyncio.sleep(0.01)


async def test_a_shutdown_with_nothing_to_do(tmp_path: Path) -> None:
    async with Scripted() as upstream:
        upstream.attach = [TURN]
        env = {"HOWLER_UPSTREAM_COOKIE": COOKIE}
        async with Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler:
            await howler.turn("hi")
            howler.server.signal(signal.SIGINT)
            assert await howler.server.ended() == 0
            assert "Traceback" not in howler.server.errors


async def killed_in_a_turn(directory: Path, upstream: Scripted, env: dict[str, str]) -> None:
    """Run a server until it follows a turn, and kill it."""
    async with Howler(directory, upstream=upstream.url, facade=False, env=env) as howler:
        call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="dies")))
        await call.read()
        await until_sockets(upstream, 1)
        howler.server.signal(signal.SIGKILL)
        await howler.server.ended()


async def test_a_server_that_was_killed_finds_its_tasks_again(tmp_path: Path) -> None:
    """Nothing of the dead process holds a slot: its running task counts as idle and makes room."""
    async with Scripted() as upstream:
        upstream.attach = [(STARTED, says("Hi"), Until("user-cancel"), ENDED), TURN]
        env = {"HOWLER_UPSTREAM_COOKIE": COOKIE}
        with pytest.raises(AssertionError, match="server ended with -9"):
            await killed_in_a_turn(tmp_path, upstream, env)
        async with Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler:
            assert text_of(await howler.turn("lives")) == "Hi"
        assert upstream.tasks[upstream.sockets[0].task_id].status == "finished"
