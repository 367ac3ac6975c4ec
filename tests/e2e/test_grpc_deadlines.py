"""Named deadlines and lost streams: each ends the turn with its own reason, none as if it had completed.

Against the scripted upstream with short deadlines; P3.1.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import QuestionPolicy, StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import Ended, EndReason, QuestionResolution, TaskEvent
from howler.task.v1.task_service_pb2 import StreamRequest

from server.errors import reason_name
from tests.support.howler import Howler, text_of
from tests.support.script import ENDED, PING, STARTED, TURN, Close, Drop, Pause, Step, Until, frame, says
from tests.support.scripted import COOKIE, Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEEP = TaskRetention.TASK_RETENTION_KEEP


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(folder: Path) -> AsyncIterator[tuple[Scripted, Howler]]:
    env = {
        "HOWLER_UPSTREAM_COOKIE": COOKIE,
        "HOWLER_ACCOUNT_SLOTS": "100",
        "HOWLER_BOOT_TIMEOUT": "3",
        "HOWLER_FIRST_EVENT_TIMEOUT": "1.2",
        "HOWLER_IDLE_TIMEOUT": "0.8",
        "HOWLER_REATTACH_TIMEOUT": "1.2",
        "HOWLER_TURN_TIMEOUT": "4",
    }
    async with Scripted() as upstream, Howler(folder, upstream=upstream.url, facade=False, env=env) as howler:
        yield upstream, howler


@pytest.fixture
def upstream(running: tuple[Scripted, Howler]) -> Scripted:
    """The upstream, with nothing of an earlier test."""
    scripted = running[0]
    scripted.attach = scripted.new = [TURN]
    scripted.boot, scripted.boots_to, scripted.hears_early, scripted.refuses = [], "processing", True, {}
    scripted.requests.clear()
    scripted.sockets.clear()
    return scripted


@pytest.fixture
def howler(running: tuple[Scripted, Howler]) -> Howler:
    return running[1]


def pings(count: int, every: float = 0.2) -> list[Step]:
    """Return a script that shows life and nothing else."""
    return [step for _ in range(count) for step in (PING, Pause(every))]


def failed(events: list[TaskEvent]) -> str:
    """Return why an accepted turn failed."""
    ended = events[-1].ended
    assert ended.reason == EndReason.END_REASON_FAILED
    assert ended.message
    return reason_name(ended.error)


async def stopped(upstream: Scripted, events: list[TaskEvent]) -> None:
    """Wait until the turn's task was stopped, which comes after the word of the end."""
    assert not events[-1].ended.resumable
    async with asyncio.timeout(60):
        while upstream.tasks[events[0].accepted.task_id].status != "finished":
            await asyncio.sleep(0.01)


async def test_the_vm_that_is_never_ready(upstream: Scripted, howler: Howler) -> None:
    upstream.boots_to = "pending"
    events = await howler.turn("never ready")
    assert failed(events) == "BOOT_TIMEOUT"
    await stopped(upstream, events)


async def test_a_stream_that_is_silent_while_the_vm_boots(upstream: Scripted, howler: Howler) -> None:
    """HOWLER_IDLE_TIMEOUT ends a socket there, not the turn, and nobody tells the agent to stop."""
    upstream.boots_to = "pending"
    running = asyncio.create_task(howler.turn("booting"))
    while len(upstream.sockets) < 2:
        await asyncio.sleep(0.01)
    upstream.boots_to = "processing"
    assert (await running)[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert "user-cancel" not in [name for socket in upstream.sockets for name in socket.types()]


async def test_an_agent_that_answers_at_once_is_not_asked_after(upstream: Scripted, howler: Howler) -> None:
    """The stream of a task is attached to at once; its info is asked for while nothing comes."""
    await asyncio.gather(*(howler.turn("at once") for _ in range(3)))
    upstream.requests.clear()
    events = await howler.turn("at once")
    assert [event.WhichOneof("event") for event in events] == ["accepted", "started", "text_delta", "ended"]
    assert not [request for request in upstream.asked("GET", "tasks") if "/stream" not in request.path]


async def test_a_stream_opened_before_the_vm_that_hears_nothing(upstream: Scripted, howler: Howler) -> None:
    """§12.5: nobody knows whether a stream waits for its VM; a deaf one is replaced once that runs."""
    upstream.boot, upstream.hears_early = [{"type": "Scheduled", "status": 1, "progress": 0}], False
    events = await howler.turn("deaf")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert [event.WhichOneof("event") for event in events] == [
        "accepted",
        "progress",
        "started",
        "text_delta",
        "ended",
    ]
    assert [socket.mode for socket in upstream.sockets] == ["attach", "attach"]


async def test_the_time_to_a_first_event_counts_from_the_vm(tmp_path: Path) -> None:
    """Boot and silence together are longer than HOWLER_FIRST_EVENT_TIMEOUT, neither is."""
    env = {
        "HOWLER_UPSTREAM_COOKIE": COOKIE,
        "HOWLER_FIRST_EVENT_TIMEOUT": "3",
        "HOWLER_IDLE_TIMEOUT": "20",  # while the VM boots the stream is silent
    }
    async with (
        Scripted() as upstream,
        Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler,
    ):
        upstream.boots_to = "pending"
        upstream.attach = [[frame("user-input", {"content": ""}), *pings(9), *TURN]]
        running = asyncio.create_task(howler.turn("late"))
        while not upstream.sockets:
            await asyncio.sleep(0.01)
        await asyncio.sleep(2)
        upstream.boots_to = "processing"
        assert (await running)[-1].ended.reason == EndReason.END_REASON_COMPLETED
        assert len(upstream.sockets) == 1


async def test_the_agent_that_gives_no_sign(upstream: Scripted, howler: Howler) -> None:
    upstream.attach = [pings(20)]
    assert failed(await howler.turn("no sign")) == "FIRST_EVENT_TIMEOUT"


async def test_the_agent_that_gives_no_sign_after_a_written_prompt(
    upstream: Scripted, howler: Howler
) -> None:
    """§6.5: the platform drops what it cannot take without a word."""
    task_id = (await howler.turn("first", retention=KEEP))[0].accepted.task_id
    upstream.new = [pings(20)]
    assert failed(await howler.turn("second", task_id=task_id)) == "FIRST_EVENT_TIMEOUT"


@pytest.mark.parametrize("script", [(), (STARTED, says("Hi"))], ids=["from the start", "after a word"])
async def test_the_socket_that_goes_silent(upstream: Scripted, howler: Howler, script: list[Step]) -> None:
    """P6.7"""
    upstream.attach = [script]
    events = await howler.turn("silent")
    assert failed(events) in ("IDLE_TIMEOUT", "FIRST_EVENT_TIMEOUT"), "whichever is over when it is given up"
    await stopped(upstream, events)


async def test_pings_are_life(upstream: Scripted, howler: Howler) -> None:
    """P6.7: an agent may think silently for longer than the idle deadline."""
    upstream.attach = [[STARTED, *pings(7), says("Hi"), ENDED]]
    events = await howler.turn("thinking")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert text_of(events) == "Hi"


async def test_the_turn_that_takes_too_long(upstream: Scripted, howler: Howler) -> None:
    upstream.attach = [[STARTED, says("Hi"), *pings(30), says("late"), ENDED]]
    events = await howler.turn("long")
    assert events[-1].ended.reason == EndReason.END_REASON_TIME_LIMIT
    assert events[-1].ended.error == ErrorReason.ERROR_REASON_TIME_LIMIT
    assert "user-cancel" in upstream.sockets[-1].types()


async def test_the_callers_deadline(upstream: Scripted, howler: Howler) -> None:
    """The agent is told to stop and may end the turn in order: what it says meanwhile counts."""
    upstream.attach = [[STARTED, says("Hi"), Until("user-cancel"), says(" there"), ENDED]]
    events = await howler.turn("deadline", deadline=Duration(nanos=300_000_000))
    ended = events[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_TIME_LIMIT,
        ErrorReason.ERROR_REASON_TIME_LIMIT,
    )
    assert text_of(events) == "Hi there"


async def test_the_deadline_of_a_turn_that_was_never_accepted(upstream: Scripted, howler: Howler) -> None:
    upstream.attach = [pings(30)]
    upstream.refuses = {"info": 10000}
    events = await howler.turn("booting", deadline=Duration(nanos=300_000_000))
    assert events[-1].ended.reason == EndReason.END_REASON_TIME_LIMIT


async def test_progress_is_told_while_the_vm_boots(upstream: Scripted, howler: Howler) -> None:
    upstream.boot = [
        {"type": "Scheduled", "status": 1, "progress": 0},
        {"type": "Scheduled", "status": 1, "progress": 0},
        {"type": "ImagePulled", "status": 1, "message": "pulling", "progress": 40},
        {"type": "ContainerStarted", "status": 2, "reason": "up", "progress": 100},
    ]
    events = await howler.turn("booting")
    told = [event.progress for event in events if event.WhichOneof("event") == "progress"]
    assert [(step.stage, step.message, step.percent) for step in told] == [
        ("Scheduled", "", 0),
        ("ImagePulled", "pulling", 40),
        ("ContainerStarted", "up", 100),
    ]


@pytest.mark.parametrize(("status", "reason"), [("error", "VM_FAILED"), ("finished", "TASK_ENDED")])
async def test_the_vm_that_does_not_come_up(
    upstream: Scripted, howler: Howler, status: str, reason: str
) -> None:
    upstream.boot = [{"type": "Failed", "status": 3, "message": "no disk"}]
    upstream.boots_to = status
    assert failed(await howler.turn("fails")) == reason


@pytest.mark.parametrize(
    "first",
    [
        (frame("error", "failed to attach stream: not yet"),),
        (Close(1011),),
        (Drop(),),
        (PING, Close(1000)),
    ],
    ids=["refused", "closed", "dropped", "closed after a ping"],
)
async def test_a_fresh_task_may_refuse_its_stream_for_a_moment(
    upstream: Scripted, howler: Howler, first: list[Step]
) -> None:
    """§5.2, §12.5: attached again, and nobody notices."""
    upstream.attach = [first, TURN]
    events = await howler.turn("again")
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert [event.WhichOneof("event") for event in events] == ["accepted", "started", "text_delta", "ended"]
    assert len(upstream.sockets) == 2
    assert len(upstream.asked("POST", "tasks")) == 1


@pytest.mark.parametrize("end", [Close(1011), Close(4001), Drop()], ids=repr)
async def test_a_stream_lost_again_and_again_is_a_failure(
    upstream: Scripted, howler: Howler, end: Step
) -> None:
    """P7.2: after HOWLER_REATTACH_TIMEOUT, never as if it had completed; told once, whatever is replayed."""
    upstream.attach = [(STARTED, says("Hi"), end)]
    events = await howler.turn("lost")
    assert failed(events) == "UPSTREAM_LOST"
    assert text_of(events) == "Hi"


async def test_a_prompt_that_was_written_is_not_written_again(upstream: Scripted, howler: Howler) -> None:
    """What attach replays is another turn's (§6.8): ours was not taken, or is not stored yet."""
    task_id = (await howler.turn("first", retention=KEEP))[0].accepted.task_id
    upstream.new = [(Drop(),), TURN]
    upstream.attach = [(frame("user-input", {"content": "Zmlyc3Q=", "attachments": []}), *TURN)]
    events = await howler.turn("second", task_id=task_id)
    assert failed(events) in ("UPSTREAM_LOST", "FIRST_EVENT_TIMEOUT"), "whichever limit is over first"
    assert text_of(events) == ""
    assert [socket.types().count("user-input") for socket in upstream.sockets if socket.mode == "new"] == [1]


async def test_a_lost_stream_whose_task_has_ended_says_so(upstream: Scripted, howler: Howler) -> None:
    upstream.attach = [(STARTED, says("Hi"), Pause(0.3), Close(1000))]
    running = asyncio.create_task(howler.turn("ends"))
    while not upstream.sockets:
        await asyncio.sleep(0.01)
    upstream.tasks[upstream.sockets[-1].task_id].status = "finished"
    assert failed(await running) == "TASK_ENDED"


async def test_an_answer_that_fits_no_frame(upstream: Scripted, howler: Howler) -> None:
    """§6.1: a reply over 32,768 bytes would close the socket: the question is declined."""
    question = {"question": "Which?", "options": [{"label": "x" * 40_000}]}
    call = {"toolCall": {"toolCallId": "q1", "rawInput": {"questions": [question]}}}
    upstream.attach = [
        (
            STARTED,
            frame("task-running", call, kind="acp_ask_user_question"),
            Until("reply-question"),
            *TURN[1:],
        )
    ]
    events = await howler.turn("big answer", question_policy=QuestionPolicy.QUESTION_POLICY_AUTO)
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    (resolved,) = [event for event in events if event.WhichOneof("event") == "question_resolved"]
    assert resolved.question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_DECLINED


async def test_the_end_holds_what_a_caller_needs(upstream: Scripted, howler: Howler) -> None:
    events = await howler.turn("hello", retention=KEEP)
    ended: Ended = events[-1].ended
    assert ended.resumable
    assert (ended.usage.tokens.input_tokens, ended.usage.tokens.output_tokens) == (2, 1)


async def test_a_caller_that_waits_less_than_a_turn_takes(upstream: Scripted, howler: Howler) -> None:
    """gRPC's own deadline is the caller's leaving: the turn is cancelled and its task stopped."""
    upstream.attach = [[STARTED, says("Hi"), Until("user-cancel"), ENDED]]
    call = howler.tasks.Stream(StreamRequest(start=StartTurn(prompt="leave")), timeout=0.5)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            pass
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    socket = upstream.sockets[-1]
    await socket.until("user-cancel")
    await socket.closed.wait()
