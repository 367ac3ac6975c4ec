"""The facade's turns over one Relay, against a scripted peer on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from howler.task.v1.relay_pb2 import RelayResponse, TurnFrame, WatchTurn
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent

from facade.backend import Backend
from facade.backend.connection import GRANT_BYTES
from facade.backend.relay import MOST_BYTES, Patience, RunningTurn
from facade.errors import ApiError, Retry
from tests.support.facade import accepted, ended, started, text
from tests.support.facade_peer import WINDOW, Peer, Refusal, Script, Seat, serve_peer


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def backend(peer: Peer) -> AsyncIterator[Backend]:
    async with serve_peer(peer) as target:
        backend = Backend(target, Patience(start=30, resume=30))
        yield backend
        await backend.close()


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield


def start(backend: Backend, prompt: str = "hi") -> RunningTurn:
    return backend.start(StartTurn(prompt=prompt))


async def read(turn: RunningTurn) -> str:
    """Read a turn to its end, as sse.py does, and return its text."""
    said = [event.text_delta.text async for batch in turn for event in batch]
    turn.leave()
    return "".join(said)


async def read_until(turn: RunningTurn, wanted: str) -> str:
    said = ""
    async for batch in turn:
        said += "".join(event.text_delta.text for event in batch)
        if wanted in said:
            return said
    raise AssertionError(f"the turn ended with {said!r}")


def spoken(prompt: str, batches: int = 40) -> Script:
    words = [[text(f"{prompt}.{n}.{k} ") for k in range(n % 3 + 1)] for n in range(batches)]
    return [[accepted()], [started()], *words, [ended()]]


def text_of(script: Script) -> str:
    return "".join(e.text_delta.text for step in script if isinstance(step, list) for e in step)


async def test_200_turns_are_interleaved_over_one_relay(peer: Peer, backend: Backend) -> None:
    """Issue 3: every token once and in order, while every tenth reader leaves in between."""
    peer.script_of = lambda asked: spoken(asked.prompt)
    turns = [start(backend, f"turn {n}") for n in range(200)]

    async def follow(n: int) -> None:
        if n % 10 == 9:
            await read_until(turns[n], ".3.0 ")
            turns[n].leave()
        else:
            assert await read(turns[n]) == text_of(spoken(f"turn {n}"))

    await asyncio.gather(*map(follow, range(200)))
    assert peer.relays == 1
    assert not peer.of_kind("grant"), "short turns need none"


async def test_tags_are_used_again(peer: Peer, backend: Backend) -> None:
    peer.script = spoken("a", 2)
    for _ in range(10):
        await read(start(backend))
    assert {request.tag for request in peer.of_kind("start")} == {1}


async def test_turns_that_were_read_to_their_end_are_forgotten(peer: Peer, backend: Backend) -> None:
    """Nobody need leave them: who looks for a turn until it is there has many that fail."""
    peer.script_of = lambda asked: spoken("a", 2) if asked.prompt else [Refusal("INVALID_REQUEST")]
    async for _ in start(backend):
        pass
    with pytest.raises(ApiError):
        await anext(start(backend, ""))
    assert not backend._relay._turns


async def test_leaving_detaches_and_drops_what_was_not_read(peer: Peer, backend: Backend) -> None:
    peer.script = [[accepted(), started(), text("a")], asyncio.Event()]
    turn = start(backend)
    await read_until(turn, "a")
    turn.leave()
    await peer.left.wait()
    assert [batch async for batch in turn] == []
    assert [request.tag for request in peer.of_kind("detach")] == [1]


async def test_tag_of_a_turn_that_was_left_is_not_used_before_its_time(peer: Peer, backend: Backend) -> None:
    peer.script = [[accepted()], asyncio.Event()]
    for _ in range(4):
        turn = start(backend)
        await anext(turn)
        turn.leave()
    assert [request.tag for request in peer.of_kind("start")] == [1, 2, 1, 2]


async def test_failure_of_a_turn_is_its_own(peer: Peer, backend: Backend) -> None:
    """Issue 3: in-band, as the status of a Stream would be told."""
    refusals = {
        "busy": Refusal("POOL_EXHAUSTED", "all taken", retry_after=2.5),
        "odd": Refusal("A_REASON_OF_TOMORROW", "secret"),
    }
    peer.script_of = lambda asked: [refusals[asked.prompt]] if asked.prompt in refusals else spoken("a", 1)
    busy, odd, fine = (start(backend, prompt) for prompt in ("busy", "odd", "fine"))
    with pytest.raises(ApiError) as caught:
        await read(busy)
    assert (caught.value.status, caught.value.message, caught.value.retry_after) == (429, "all taken", 2.5)
    with pytest.raises(ApiError) as caught:
        await read(odd)
    assert (caught.value.status, "secret" in caught.value.message) == (500, False)
    assert await read(fine) == "a.0.0 "
    assert peer.relays == 1


async def test_events_before_a_failure_are_told_first(peer: Peer, backend: Backend) -> None:
    peer.script = [[accepted(), started(), text("half")], Refusal("SLOW_CONSUMER")]
    turn = start(backend)
    await read_until(turn, "half")
    with pytest.raises(ApiError) as caught:
        await anext(turn)
    assert (caught.value.code, caught.value.retry) == ("slow_consumer", Retry.NEVER)


async def test_credit_is_granted_as_events_are_passed_on(peer: Peer, backend: Backend) -> None:
    """The peer fails the test when more is granted than it had sent."""
    script = [[accepted()], *[[text("x" * 3000)] * 5 for _ in range(100)], [ended()]]
    peer.script = script
    assert await read(start(backend)) == text_of(script)
    granted = [request.grant.bytes for request in peer.of_kind("grant")]
    sent = sum(event.ByteSize() for event in peer.turns["turn_1"].events)
    assert sum(granted) <= sent
    assert sum(granted) > sent - WINDOW
    assert min(granted) >= GRANT_BYTES


async def test_what_comes_while_it_is_waited_for_is_offered_at_once(peer: Peer, backend: Backend) -> None:
    """The last batch is not: who reads the turn hears its end. What was not taken is read."""
    script = spoken("x")
    peer.script = script
    turn, said, offered = start(backend), list[TaskEvent](), list[TaskEvent]()

    def take(events: Sequence[TaskEvent]) -> bool:
        offered.extend(events)
        if len(offered) % 2:
            said.extend(events)
        return len(offered) % 2 == 1

    turn.at_once(take)
    async for batch in turn:
        said += batch
    assert [event.seq for event in said] == list(range(1, len(said) + 1))
    assert "".join(event.text_delta.text for event in said) == text_of(script)
    assert offered
    assert not any(event.HasField("ended") for event in offered)


async def test_credit_is_granted_for_what_is_taken_at_once(peer: Peer, backend: Backend) -> None:
    """Issue 3: four windows of it."""
    script = [[accepted()], *[[text("x" * 3000)] * 5 for _ in range(70)], [ended()]]
    peer.script = script
    turn, taken = start(backend), list[str]()

    def take(events: Sequence[TaskEvent]) -> bool:
        taken.extend(event.text_delta.text for event in events)
        return True

    turn.at_once(take)
    rest = await read(turn)
    assert len("".join(taken) + rest) == len(text_of(script))
    granted = [request.grant.bytes for request in peer.of_kind("grant")]
    sent = sum(event.ByteSize() for event in peer.turns["turn_1"].events)
    assert sent - WINDOW < sum(granted) <= sent


async def test_leaving_while_taking_at_once_leaves_that_turn_alone(peer: Peer, backend: Backend) -> None:
    go_on = asyncio.Event()
    last = {"left": asyncio.Event(), "other": [ended()]}
    peer.script_of = lambda asked: [
        [accepted(), text("a")],
        go_on,
        [text("b")],
        [text("c")],
        last[asked.prompt],
    ]
    turn, other = start(backend, "left"), start(backend, "other")

    def take(_: Sequence[TaskEvent]) -> bool:
        turn.leave()
        return True

    for each in (turn, other):
        await read_until(each, "a")
    turn.at_once(take)
    waiting = asyncio.create_task(read(turn))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(waiting, read(other)) == ["", "bc"]
    await peer.left.wait()
    assert peer.relays == 1


async def test_turn_that_is_not_read_is_not_sent_past_its_credit(peer: Peer, backend: Backend) -> None:
    peer.script_of = lambda asked: [[accepted(), *[text("x" * 1000)] * 2000], [ended()]]
    stalled, other = start(backend), start(backend)
    assert await read(other) == "x" * 2_000_000
    (seat,) = peer.doors[0].seats.values()
    assert -1100 < seat.credit <= 0
    assert seat.sent < 300
    assert await read(stalled) == "x" * 2_000_000


async def test_broken_relay_is_not_noticed_by_turns_that_run(peer: Peer, backend: Backend) -> None:
    go_on = asyncio.Event()
    peer.script = [[accepted(), started(), text("a")], [text("b")], go_on, [text("c"), text("d")], [ended()]]
    turns = [start(backend) for _ in range(5)]
    for turn in turns:
        assert await read_until(turn, "b") == "ab"
    peer.break_relays()
    go_on.set()
    assert await asyncio.gather(*map(read, turns)) == ["cd"] * 5
    assert (peer.relays, len(peer.starts)) == (2, 5)
    watched = [(request.watch.turn_id, request.watch.after_seq) for request in peer.of_kind("watch")]
    assert sorted(watched) == [(f"turn_{n}", 4) for n in range(1, 6)]


async def test_window_begins_anew_on_another_relay(peer: Peer, backend: Backend) -> None:
    """What came over the Relay before is not granted on this one, which the peer would call a violation."""
    go_on = asyncio.Event()
    long = [[accepted(), started()], [text("x" * 50_000)] * 4, go_on, [text("y" * 50_000)] * 40, [ended()]]
    peer.script_of = lambda asked: long if asked.prompt == "long" else spoken("a", 1)
    turn = start(backend, "long")
    await anext(turn)
    while peer.doors[0].seats[1].sent < 6:
        await asyncio.sleep(0)
    await read(start(backend))  # whose frames came after the long turn's
    peer.break_relays()
    while not peer.of_kind("watch"):
        await asyncio.sleep(0.01)
    reading = asyncio.create_task(read(turn))
    for _ in range(3):
        await read(start(backend))  # so that a grant, were there one, was read by the peer
    assert not peer.of_kind("grant")
    go_on.set()
    assert await reading == "x" * 200_000 + "y" * 2_000_000


async def test_turn_that_was_not_accepted_is_not_started_again(peer: Peer, backend: Backend) -> None:
    peer.script = [asyncio.Event()]
    turn = start(backend)
    while not peer.starts:
        await asyncio.sleep(0.01)
    peer.break_relays()
    with pytest.raises(ApiError) as caught:
        await read(turn)
    assert (caught.value.status, caught.value.retry) == (503, Retry.NEVER), "it may run"
    peer.script = spoken("a", 1)
    assert await read(start(backend)) == "a.0.0 "
    assert len(peer.starts) == 2


async def test_turn_that_the_server_lost(peer: Peer, backend: Backend) -> None:
    peer.script = [[accepted(), started(), text("a")], asyncio.Event()]
    turn = start(backend)
    await read_until(turn, "a")
    peer.turns.clear()
    peer.break_relays()
    with pytest.raises(ApiError) as caught:
        await read(turn)
    assert (caught.value.status, caught.value.retry) == (503, Retry.NEVER)


class Forgetful(Peer):
    """Skips an event where a turn is watched on."""

    def _watch(self, watch: WatchTurn) -> Seat:
        seat = super()._watch(watch)
        seat.sent += 1
        return seat


async def test_gap_in_the_events_is_a_failure() -> None:
    peer, go_on = Forgetful(), asyncio.Event()
    peer.script = [[accepted(), started(), text("a")], go_on, [text("b"), text("c")], asyncio.Event()]
    async with serve_peer(peer) as target:
        backend = Backend(target)
        turn = start(backend)
        await read_until(turn, "a")
        peer.break_relays()
        go_on.set()
        with pytest.raises(ApiError) as caught:
            await read(turn)
        assert caught.value.status == 500
        await peer.left.wait()
        await backend.close()


async def test_turns_wait_for_a_server_that_comes(peer: Peer) -> None:
    """One that was left meanwhile is never started, nor is one whose patience ended."""
    async with serve_peer(Peer()) as target:
        pass
    backend = Backend(target, Patience(start=30, resume=30))
    hasty = Backend(target, Patience(start=0.05))
    with pytest.raises(ApiError) as caught:
        await read(start(hasty, "hasty"))
    assert (caught.value.status, caught.value.retry) == (503, Retry.ALWAYS), "it does not run"
    left, waits = start(backend, "left"), start(backend, "waits")
    left.leave()
    peer.script = spoken("a", 1)
    async with serve_peer(peer, target):
        assert await read(waits) == "a.0.0 "
        assert "left" not in {asked.prompt for asked in peer.starts}
        await backend.close()
        await hasty.close()


async def test_server_that_does_not_come_back(peer: Peer) -> None:
    peer.script = [[accepted(), started(), text("a")], asyncio.Event()]
    async with serve_peer(peer) as target:
        backend = Backend(target, Patience(start=60.0, resume=0.05))
        turns = [start(backend) for _ in range(100)]
        for turn in turns:
            await read_until(turn, "a")
    for turn in turns:
        with pytest.raises(ApiError) as caught:
            await read(turn)
        assert (caught.value.status, caught.value.retry) == (503, Retry.NEVER)
    await backend.close()


async def test_prompt_that_no_message_can_carry_breaks_nothing(peer: Peer, backend: Backend) -> None:
    peer.script = spoken("a", 1)
    with pytest.raises(ApiError) as caught:
        await read(start(backend, "x" * MOST_BYTES))
    assert caught.value.code == "context_length_exceeded"
    assert await read(start(backend, "x" * (MOST_BYTES - 100))) == "a.0.0 "
    assert peer.relays == 1


async def test_closing_tells_the_server_what_was_left(peer: Peer, backend: Backend) -> None:
    peer.script = [[accepted()], asyncio.Event()]
    turn = start(backend)
    await anext(turn)
    backend.end_turns()
    await backend.close()
    assert len(peer.of_kind("detach")) == 1
    with pytest.raises(ApiError) as caught:
        await anext(turn)
    assert caught.value.status == 503


class Rash(Peer):
    """Reads one start of its first Relay and no more, and then fails a turn that waits to be asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.fails_tag = asyncio.get_running_loop().create_future()
        self.reads_on = asyncio.Event()

    async def Relay(self, requests: Any, context: Any) -> AsyncIterator[RelayResponse]:
        if self.relays:
            async for response in super().Relay(requests, context):
                yield response
            return
        self.relays += 1
        await anext(aiter(requests))
        self.asked.set()
        failed = Refusal("INTERNAL", "out of turn").status()
        frame = TurnFrame(tag=await self.fails_tag, failed=failed)
        yield RelayResponse(frames=[frame])
        await self.reads_on.wait()
        async for _ in requests:
            pass


async def test_relay_that_can_no_longer_be_written_is_opened_anew() -> None:
    """Over one that is only read no turn would ever start."""
    peer = Rash()
    peer.script = spoken("a", 1)
    async with asyncio.timeout(60), serve_peer(peer) as target:
        backend = Backend(target, Patience(start=30, resume=30))
        first = start(backend)
        await peer.asked.wait()
        # What the peer does not read holds up the writer.
        large, third, fourth = start(backend, "x" * (MOST_BYTES - 100)), start(backend), start(backend)
        peer.fails_tag.set_result(3)
        with pytest.raises(ApiError):
            await read(third)
        peer.reads_on.set()  # the writer goes on, to the third, which is over: that breaks it
        for turn in (first, large):
            with pytest.raises(ApiError) as caught:
                await read(turn)
            assert (caught.value.status, caught.value.retry) == (503, Retry.NEVER), "it may run"
        assert await read(fourth) == "a.0.0 "
        assert (peer.relays, len(peer.starts)) == (2, 1)
        await backend.close()
