"""Issue 5, D1: 200 readers that stop reading cost the server little memory, and other turns nothing.

HOWLER_TEST_SECONDS says for how long they read nothing (`make test-full`: 60).
"""

import asyncio
import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

import grpc
from howler.task.v1.relay_pb2 import Grant, RelayRequest
from howler.task.v1.start_turn_pb2 import Durability, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import StreamRequest

from tests.support import grammar
from tests.support.howler import Howler, text_of
from tests.support.script import ENDED, PING, STARTED, Pause, Step, Until, says
from tests.support.scripted import COOKIE, Scripted

STALLED: Final = 200
GROWTH_MB: Final = 64
SECONDS: Final = float(os.environ.get("HOWLER_TEST_SECONDS", "6"))
PATIENCE: Final = 120.0 + SECONDS  # a test that waits for longer has failed
NARROW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0))
PER_CHANNEL: Final = 20
STOP = TaskRetention.TASK_RETENTION_STOP
BETWEEN: Final = 0.1  # seconds between two pieces of a stalled turn's answer

Events = dict[int, list[TaskEvent]]


def flood() -> tuple[list[Step], str]:
    """Return what the platform says while nobody reads, and the answer that it makes."""
    pieces = [f"{number:06}" + "x" * 2000 for number in range(int(SECONDS / BETWEEN))]
    steps: list[Step] = [STARTED]
    for piece in pieces:
        steps += [says(piece), Pause(BETWEEN)]
    return [*steps, PING, Until("finish"), ENDED], "".join(pieces)


def rss_mb(howler: Howler) -> float:
    process = howler.server._process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


async def finish(upstream: Scripted, count: int) -> None:
    """Let the turns of the first sockets end."""
    for socket in upstream.sockets[:count]:
        await socket.take('{"type":"finish"}')


async def streamed(call: Any, have: list[TaskEvent]) -> None:
    while (response := await call.read()) is not grpc.aio.EOF:
        have += response.events


async def relayed(relay: Any, have: Events) -> None:
    """Read a Relay to its end, granting what is read."""
    spent: Counter[int] = Counter()
    for tag, events in have.items():
        spent[tag] = sum(event.ByteSize() for event in events)
    for tag, size in spent.items():
        await relay.write(RelayRequest(tag=tag, grant=Grant(bytes=size)))
    left = set(have)
    while left:
        for frame in (await relay.read()).frames:
            have[frame.tag] += frame.events
            if frame.events[-1].HasField("ended"):
                left.remove(frame.tag)
            else:
                size = sum(event.ByteSize() for event in frame.events)
                await relay.write(RelayRequest(tag=frame.tag, grant=Grant(bytes=size)))


async def stalled_relay(stub: Any) -> tuple[Any, Events]:
    """Return a Relay with turns that are not durable and have no credit, all accepted."""
    relay = stub.Relay()
    have: Events = {tag: [] for tag in range(1, STALLED // 2 + 1)}
    for tag in have:
        start = StartTurn(prompt="x", retention=STOP, durability=Durability.DURABILITY_EPHEMERAL)
        await relay.write(RelayRequest(tag=tag, start=start))
    while not all(have.values()):
        for frame in (await relay.read()).frames:
            have[frame.tag] += frame.events
    return relay, have


async def stalled_streams(stubs: list[Any]) -> list[tuple[Any, list[TaskEvent]]]:
    """Return Streams of durable turns that are read no further than their first events."""
    start = StreamRequest(start=StartTurn(prompt="y", retention=STOP))
    calls = [stubs[number // PER_CHANNEL].Stream(start) for number in range(STALLED // 2)]
    return [(call, list((await call.read()).events)) for call in calls]


async def grown_by(howler: Howler) -> float:
    """Return by how many MB the server grew while other turns ran as if nothing were."""
    before = rss_mb(howler)
    for _ in range(3):
        for events in await asyncio.gather(*(howler.turn("other", retention=STOP) for _ in range(5))):
            assert text_of(events) == "tok " * 40
    await asyncio.sleep(SECONDS)
    grown = rss_mb(howler) - before
    print(f"{STALLED} stalled readers for {SECONDS:g} s: the server's RSS grew by {grown:.1f} MB")
    return grown


async def test_stalled_readers_cost_little_and_lose_nothing(tmp_path: Path) -> None:
    """Half of them are Streams of durable turns, half are turns without credit on a Relay, which are not."""
    steps, answer = flood()
    env = {"HOWLER_UPSTREAM_COOKIE": COOKIE, "HOWLER_ACCOUNT_SLOTS": "500", "HOWLER_QUEUE_TIMEOUT": "60"}
    async with (
        asyncio.timeout(PATIENCE),
        Scripted() as upstream,
        Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler,
    ):
        upstream.attach = [steps]
        channels = [
            grpc.aio.insecure_channel(howler.server.address, options=(*NARROW, ("grpc.channel_id", number)))
            for number in range(STALLED // 2 // PER_CHANNEL + 1)
        ]
        stubs = [type(howler.tasks)(channel) for channel in channels]
        relay, on_relay = await stalled_relay(stubs[-1])
        streams = await stalled_streams(stubs)
        while len(upstream.sockets) < STALLED:
            await asyncio.sleep(0.05)
        upstream.attach = [
            [STARTED, *[step for _ in range(40) for step in (says("tok "), Pause(0.02))], ENDED]
        ]
        assert await grown_by(howler) < GROWTH_MB
        assert not any(socket.closed.is_set() for socket in upstream.sockets[:STALLED])

        await finish(upstream, STALLED)
        await asyncio.gather(relayed(relay, on_relay), *(streamed(*stream) for stream in streams))
        for events in (*on_relay.values(), *(events for _, events in streams)):
            grammar.check(events)
            assert text_of(events) == answer
        await relay.done_writing()
        for channel in channels:
            await channel.close()
        assert "Traceback" not in howler.server.errors
