"""TaskService.Relay: many turns over one stream, each at its own pace."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1.relay_pb2 import AnswerTurn, CancelTurn, Detach, Grant, RelayRequest, WatchTurn
from howler.task.v1.start_turn_pb2 import Idempotency, QuestionPolicy, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent

from tests.support import grammar
from tests.support.howler import Howler, reason_of, text_of

CANCELLED = EndReason.END_REASON_CANCELLED
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Howler]:
    directory: Path = tmp_path_factory.mktemp("relay")
    env = {"HOWLER_QUEUE_TIMEOUT": "60"}
    async with Howler(directory, facade=False, env=env, sandbox_env={"HOWLER_SANDBOX_BOOT_MS": "50"}) as one:
        yield one


class Caller:
    """A Relay's other end. Grants what it reads unless the tag is held back."""

    def __init__(self, howler: Howler) -> None:
        self.call = howler.tasks.Relay()
        self.events: dict[int, list[TaskEvent]] = defaultdict(list)
        self.failed: dict[int, Any] = {}
        self.held: set[int] = set()
        self._writing = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def say(self, tag: int, **request: Any) -> None:
        async with self._writing:  # one write at a time: a rule of gRPC
            await self.call.write(RelayRequest(tag=tag, **request))

    async def start(self, tag: int, prompt: str, **start: Any) -> None:
        start.setdefault("retention", TaskRetention.TASK_RETENTION_STOP)
        await self.say(tag, start=StartTurn(prompt=prompt, **start))

    async def _read(self) -> None:
        while (response := await self.call.read()) is not grpc.aio.EOF:
            assert response.frames
            assert len({frame.tag for frame in response.frames}) == len(response.frames)
            for frame in response.frames:
                if frame.HasField("failed"):
                    self.failed[frame.tag] = frame.failed
                    continue
                assert frame.first_seq == frame.events[0].seq
                self.events[frame.tag].extend(frame.events)
                if frame.tag not in self.held:
                    await self.say(frame.tag, grant=Grant(bytes=sum(e.ByteSize() for e in frame.events)))
            async with self._changed:
                self._changed.notify_all()

    async def until(self, *tags: int) -> None:
        """Return when all the tags have ended or failed."""
        async with self._changed:
            await self._changed.wait_for(lambda: all(self.over(tag) for tag in tags))

    async def until_any(self, tag: int, kind: str) -> None:
        """Return when the tag has an event of that kind."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: any(event.WhichOneof("event") == kind for event in self.events[tag])
            )

    def over(self, tag: int) -> bool:
        events = self.events[tag]
        return tag in self.failed or bool(events and events[-1].WhichOneof("event") == "ended")

    async def done(self) -> None:
        """Say that nothing more comes, and read to the end."""
        await self.call.done_writing()
        await self._reading

    def leave(self) -> None:
        self.call.cancel()
        self._reading.cancel()


def reason(status: Any) -> str:
    info = ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def test_many_turns_over_one_stream(howler: Howler) -> None:
    caller = Caller(howler)
    tags = range(1, 101)
    for tag in tags:
        await caller.start(tag, "/burst 200" if tag % 2 else f"/pace 20 {tag % 5 + 1}")
    await caller.until(*tags)
    for tag in tags:
        grammar.check(caller.events[tag])
        count = 200 if tag % 2 else 20
        text = text_of(caller.events[tag])
        tokens = [word for word in text.split() if word.startswith("tok")]
        assert tokens == [f"tok{number}" for number in range(count)], tag
    await caller.done()


async def test_one_message_may_say_many_things(howler: Howler) -> None:
    caller = Caller(howler)
    starts = [
        RelayRequest(
            tag=tag, start=StartTurn(prompt="/burst 20", retention=TaskRetention.TASK_RETENTION_STOP)
        )
        for tag in range(2, 6)
    ]
    await caller.say(
        1, start=StartTurn(prompt="/pace 5000 10"), also=[*starts, RelayRequest(tag=1, detach=Detach())]
    )
    await caller.until(*range(2, 6))
    for tag in range(2, 6):
        grammar.check(caller.events[tag])
    await caller.done()


async def test_one_turn_without_grants_delays_nobody(howler: Howler) -> None:
    caller = Caller(howler)
    caller.held.add(1)
    await caller.start(1, "/burst 20000")
    await caller.until_any(1, "text_delta")
    for tag in range(2, 12):
        await caller.start(tag, "/burst 500")
    await caller.until(*range(2, 12))
    held = sum(event.ByteSize() for event in caller.events[1])
    assert held <= (256 << 10) + (8 << 10)
    assert not caller.over(1)
    caller.held.clear()
    await caller.say(1, grant=Grant(bytes=held))
    await caller.until(1)
    grammar.check(caller.events[1])
    await caller.done()


async def test_a_turns_failure_is_told_in_its_frame(howler: Howler) -> None:
    caller = Caller(howler)
    await caller.start(1, "")
    await caller.start(2, "hello", model="no such model", strict_model=True)
    await caller.start(3, "hello")
    await caller.say(4, watch=WatchTurn(turn_id="turn_none"))
    await caller.until(1, 2, 3, 4)
    assert reason(caller.failed[1]) == "INVALID_REQUEST"
    assert reason(caller.failed[2]) == "MODEL_NOT_FOUND"
    assert reason(caller.failed[4]) == "TURN_NOT_FOUND"
    grammar.check(caller.events[3])
    del caller.failed[1]
    await caller.start(1, "again, on a tag that is free")
    await caller.until(1)
    grammar.check(caller.events[1])
    await caller.done()


@pytest.mark.parametrize(
    "request_",
    [
        RelayRequest(tag=0, grant=Grant(bytes=1)),
        RelayRequest(tag=7),
        RelayRequest(tag=7, grant=Grant()),
        RelayRequest(tag=7, grant=Grant(bytes=1), also=[RelayRequest(tag=7)]),
    ],
)
async def test_a_violation_ends_the_relay(howler: Howler, request_: RelayRequest) -> None:
    call = howler.tasks.Relay()
    await call.write(request_)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert reason_of(caught.value) == "INVALID_REQUEST"


async def test_a_tag_in_use_is_not_started_again(howler: Howler) -> None:
    call = howler.tasks.Relay()
    for _ in range(2):
        await call.write(RelayRequest(tag=1, start=StartTurn(prompt="/silence 5")))

    async def read_on() -> None:
        while await call.read() is not grpc.aio.EOF:
            pass

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_on()
    assert reason_of(caught.value) == "INVALID_REQUEST"


async def test_cancel_and_answer_by_tag(howler: Howler) -> None:
    caller = Caller(howler)
    await caller.start(1, "/pace 1000 20")
    await caller.start(2, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    await caller.until_any(1, "text_delta")
    await caller.say(1, cancel=CancelTurn())
    await caller.until_any(2, "question")
    asked = next(e.question for e in caller.events[2] if e.WhichOneof("event") == "question")
    answers = [{"text": item.text, "values": [item.options[-1].label]} for item in asked.items]
    await caller.say(2, answer=AnswerTurn(question_id=asked.question_id, answers=answers))
    await caller.until(1, 2)
    assert caller.events[1][-1].ended.reason == CANCELLED
    assert caller.events[2][-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert asked.items[0].options[-1].label in text_of(caller.events[2])
    await caller.done()


async def test_a_turn_is_cancelled_that_is_still_looked_for(howler: Howler) -> None:
    """One that may be a repetition is looked for in the store before it starts."""
    caller = Caller(howler)
    await caller.start(1, "/pace 3000 20", idempotency=Idempotency(key="cancelled at once"))
    await caller.say(1, cancel=CancelTurn())
    async with asyncio.timeout(30):  # half of what it would take
        await caller.until(1)
    events = caller.events[1]
    assert reason(caller.failed[1]) == "CANCELLED" if not events else events[-1].ended.reason == CANCELLED
    await caller.done()


async def test_a_broken_relay_is_followed_by_another_without_a_gap(howler: Howler) -> None:
    caller = Caller(howler)
    await caller.start(1, "/pace 100 20")
    await caller.until_any(1, "text_delta")
    caller.leave()
    have = list(caller.events[1])
    turn_id = have[0].accepted.turn_id
    again = Caller(howler)
    await again.say(5, watch=WatchTurn(turn_id=turn_id, after_seq=have[-1].seq))
    await again.until(5)
    whole = have + again.events[5]
    grammar.check(whole)
    assert whole[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert [word for word in text_of(whole).split() if word.startswith("tok")] == [
        f"tok{n}" for n in range(100)
    ]
    await again.done()


async def test_detach_leaves_the_turn_to_its_on_detach(howler: Howler) -> None:
    caller = Caller(howler)
    await caller.start(1, "/pace 1000 20")
    await caller.until_any(1, "text_delta")
    turn_id = caller.events[1][0].accepted.turn_id
    await caller.say(1, detach=Detach())
    over = await howler.tasks.CancelTurn(pb.CancelTurnRequest(turn_id=turn_id))
    assert over.reason == EndReason.END_REASON_CANCELLED
    await caller.done()
