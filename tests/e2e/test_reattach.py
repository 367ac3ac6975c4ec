"""A turn that loses its connection to the platform goes on, and its caller sees one whole answer (P7.2).

Each kind of loss once, over gRPC and over HTTP with the official SDK (issue 5), and what cannot be helped.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import openai
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AcquireRequest, LeaseMode, ReleaseRequest
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import DetachAction, HeldLease, OnDetach, QuestionPolicy, TaskRetention
from howler.task.v1.task_event_pb2 import Answer, EndReason, NoticeKind
from howler.task.v1.task_service_pb2 import (
    AnswerQuestionRequest,
    CancelTurnRequest,
    GetTurnRequest,
    WatchRequest,
)

from tests.support.howler import Howler, reason_of, text_of
from tests.support.script import ENDED, STARTED, TURN, Close, frame, says
from tests.support.scripted import COOKIE, Scripted
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEEP = TaskRetention.TASK_RETENTION_KEEP
STREAM = "/api/v1/users/tasks/stream"
REFUSED = {"path": STREAM, "do": "status", "status": 502}
CUT = {"sockets": 1, "cut_after_frames": 7}
PACED = "/pace 30 20"
TEXT = "".join(f"tok{number} " for number in range(30))

LOSSES: dict[str, dict[str, Any]] = {
    "fin": {"stream": CUT},
    "rst": {"stream": CUT | {"cut": "rst"}},
    "1011": {"stream": CUT | {"cut": "close"}},
    "inside a frame": {"stream": {"sockets": 1, "cut_after_bytes": 1500}},
    "silence": {"stream": {"sockets": 1, "stop_pings": True, "delay_ms": 60_000}},
    "a store that lags": {"stream": CUT, "platform": {"ingest_lag_ms": 300}},
    "an end that never comes": {"stream": {"sockets": 1, "drop_task_ended": "live"}},
    "an end that no replay shows": {"stream": {"drop_task_ended": "always"}},
    "closed in place of the end": {"stream": {"sockets": 1, "close_at_task_ended": True}},
    "rows that are folded at random": {"stream": CUT, "platform": {"fold_seed": 3, "ingest_lag_ms": 100}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(folder: Path) -> AsyncIterator[Howler]:
    env = {"HOWLER_IDLE_TIMEOUT": "2", "HOWLER_TURN_TIMEOUT": "60"}
    sandbox = {"HOWLER_SANDBOX_PING_S": "0.4"}
    async with Howler(folder, env=env, sandbox_env=sandbox) as howler:
        yield howler


@pytest_asyncio.fixture(loop_scope="module")
async def howler(running: Howler) -> AsyncIterator[Howler]:
    yield running
    await running.sandbox.reset()


@pytest.mark.parametrize("loss", LOSSES)
async def test_each_loss_over_grpc(howler: Howler, loss: str) -> None:
    """P3.1, P7.2, A8, A13"""
    await howler.sandbox.faults(**LOSSES[loss])
    events = await howler.turn(PACED)
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert text_of(events) == TEXT


@pytest.mark.parametrize("loss", LOSSES)
async def test_each_loss_over_http(howler: Howler, loss: str) -> None:
    """P7.2"""
    await howler.sandbox.faults(**LOSSES[loss])
    async with howler.openai() as client:
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="", messages=[{"role": "user", "content": PACED}], stream=True
            )
        ]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == TEXT
    assert choices[-1].finish_reason == "stop"


async def cut_off(howler: Howler, prompt: str, *, refused: int, **start: Any) -> Watched:
    """Start a turn whose socket is cut after a second, and whose next handshakes are answered with 502."""
    await howler.sandbox.faults(stream={"sockets": 1, "cut_after_frames": 25})
    turn = Watched(howler, prompt, **start)
    await turn.until("text_delta")
    await howler.sandbox.faults(routes=[REFUSED | {"times": refused}])
    return turn


async def test_a_noticeable_pause_is_told_once(howler: Howler) -> None:
    """A 502 on the handshake, again and again."""
    events = await (await cut_off(howler, "/pace 80 50", refused=6)).rest()
    told = [event.notice.kind for event in events if event.WhichOneof("event") == "notice"]
    assert told == [NoticeKind.NOTICE_KIND_RECONNECTING, NoticeKind.NOTICE_KIND_RECONNECTED]
    assert text_of(events) == "".join(f"tok{number} " for number in range(80))


async def test_a_refused_handshake_over_http(howler: Howler) -> None:
    await howler.sandbox.faults(stream={"sockets": 1, "cut_after_frames": 25})
    text = ""
    async with howler.openai() as client:
        async for chunk in await client.chat.completions.create(
            model="", messages=[{"role": "user", "content": "/pace 40 50"}], stream=True
        ):
            if not text:
                await howler.sandbox.faults(routes=[REFUSED | {"times": 2}])
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text == "".join(f"tok{number} " for number in range(40))


async def test_a_session_that_expired_meanwhile_is_renewed(howler: Howler) -> None:
    turn = await cut_off(howler, "/pace 60 50", refused=0)
    await howler.sandbox.faults(accounts={"expire": ["*"]})
    events = await turn.rest()
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert text_of(events) == "".join(f"tok{number} " for number in range(60))


async def test_a_turn_is_cancelled_while_it_has_no_socket(howler: Howler) -> None:
    turn = await cut_off(howler, "/pace 2000 50", refused=1000, retention=KEEP)
    await turn.until("notice")
    answer = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert answer.reason == EndReason.END_REASON_CANCELLED
    assert (await turn.rest())[-1].ended.reason == EndReason.END_REASON_CANCELLED


async def test_a_question_is_answered_while_the_turn_has_no_socket(howler: Howler) -> None:
    """The caller's answer counts at once; the agent gets it when the turn is attached to again."""
    await howler.sandbox.faults(stream={"sockets": 1, "cut_after_frames": 7}, routes=[])
    turn = Watched(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    asked = (await turn.until("question")).question
    await howler.sandbox.faults(routes=[REFUSED | {"times": 1000}])
    await turn.until("notice")
    answers = [Answer(text=item.text, values=[item.options[-1].label]) for item in asked.items]
    answer = AnswerQuestionRequest(turn_id=turn.turn_id, question_id=asked.question_id, answers=answers[:-1])
    with pytest.raises(grpc.aio.AioRpcError, match="have no answer"):
        await howler.tasks.AnswerQuestion(answer)
    answer.answers.append(answers[-1])
    await howler.tasks.AnswerQuestion(answer)
    assert (await turn.until("question_resolved")).question_resolved.answers == answers
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.tasks.AnswerQuestion(answer)
    assert reason_of(raised.value) == "QUESTION_NOT_FOUND"
    await howler.sandbox.faults(routes=[])
    events = await turn.rest()
    assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
    assert asked.items[0].options[-1].label in text_of(events)


async def test_a_deadline_ends_a_turn_that_has_no_socket(howler: Howler) -> None:
    """Its caller reads TIME_LIMIT, and all that was said."""
    turn = await cut_off(howler, "/pace 2000 50", refused=1000, deadline=Duration(seconds=4))
    ended = (await turn.rest())[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_TIME_LIMIT,
        ErrorReason.ERROR_REASON_TIME_LIMIT,
    )
    await eventually(lambda: finished(howler, turn.task_id))


async def finished(howler: Howler, task_id: str) -> bool:
    return bool((await howler.sandbox.task(task_id))["status"] == "finished")


async def test_a_caller_who_leaves_a_turn_without_a_socket_takes_it_along(howler: Howler) -> None:
    """`on_detach` CANCEL, and its grace: who comes back within it is told on, who does not ends the turn."""
    left = OnDetach(action=DetachAction.DETACH_ACTION_CANCEL, grace=Duration(seconds=2))
    turn = await cut_off(howler, "/pace 2000 50", refused=1000, on_detach=left)
    await turn.until("notice")
    turn.call.cancel()
    watched = howler.tasks.Watch(WatchRequest(watch=WatchTurn(turn_id=turn.turn_id)))
    assert (await watched.read()).events[0] == turn.events[0]
    watched.cancel()
    await eventually(lambda: finished(howler, turn.task_id))
    record = (await howler.tasks.GetTurn(GetTurnRequest(turn_id=turn.turn_id))).turn
    assert record.end_reason == EndReason.END_REASON_CANCELLED


async def test_a_turn_without_a_socket_ends_with_its_callers_lease(howler: Howler) -> None:
    held = (
        await howler.pool.Acquire(
            AcquireRequest(mode=LeaseMode.LEASE_MODE_EXCLUSIVE, holder="test", purpose="e2e")
        )
    ).lease
    lease = HeldLease(lease_id=held.lease_id, token=held.token)
    turn = await cut_off(howler, "/pace 2000 50", refused=1000, lease=lease)
    await turn.until("notice")
    await howler.pool.Release(ReleaseRequest(lease_id=held.lease_id, token=held.token))
    ended = (await turn.rest())[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_FAILED,
        ErrorReason.ERROR_REASON_LEASE_LOST,
    )
    await howler.sandbox.faults(routes=[])
    await eventually(lambda: finished(howler, turn.task_id))


@pytest.mark.parametrize(
    "stream",
    [{"stop_pings": True, "delay_ms": 60_000}, {"delay_ms": 60_000}],
    ids=["without a word", "but for pings"],
)
async def test_an_agent_that_died_silently_is_waited_for_until_the_deadline(
    howler: Howler, stream: dict[str, Any]
) -> None:
    """Its task is `processing` for ever; each socket is silent, too."""
    await howler.sandbox.faults(stream={"sockets": 1, "cut_after_frames": 9})
    turn = Watched(howler, "/pace 2000 50", deadline=Duration(seconds=5))
    await turn.until("text_delta")
    await howler.sandbox.faults(stream=stream)
    ended = (await turn.rest())[-1].ended
    assert ended.reason == EndReason.END_REASON_TIME_LIMIT


async def test_a_machine_that_is_lost_ends_its_turn_with_all_that_was_said(howler: Howler) -> None:
    turn = Watched(howler, "/pace 2000 20")
    await turn.until("text_delta")
    await howler.sandbox.faults(machines={"kill": [turn.task_id]})
    events = await turn.rest()
    assert events[-1].ended.reason == EndReason.END_REASON_FAILED
    log = await howler.sandbox.log(turn.task_id)
    said = [row["payload"]["update"]["content"]["text"] for row in log if row["kind"] == "acp_event"]
    assert text_of(events) == "".join(said)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scripted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Scripted, Howler]]:
    env = {"HOWLER_UPSTREAM_COOKIE": COOKIE, "HOWLER_ACCOUNT_SLOTS": "100"}
    folder = tmp_path_factory.mktemp("scripted")
    async with Scripted() as upstream, Howler(folder, upstream=upstream.url, facade=False, env=env) as howler:
        yield upstream, howler


async def test_an_agent_that_died_silently_is_given_up(tmp_path: Path) -> None:
    """After HOWLER_REATTACH_TIMEOUT in which no socket told anything new."""
    env = {
        "HOWLER_UPSTREAM_COOKIE": COOKIE,
        "HOWLER_IDLE_TIMEOUT": "0.5",
        "HOWLER_REATTACH_TIMEOUT": "2",
    }
    async with (
        Scripted() as upstream,
        Howler(tmp_path, upstream=upstream.url, facade=False, env=env) as howler,
    ):
        upstream.attach = [(STARTED, says("Hi"))]
        events = await howler.turn("dies")
    ended = events[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_FAILED,
        ErrorReason.ERROR_REASON_IDLE_TIMEOUT,
    )
    assert text_of(events) == "Hi"
    assert len(upstream.sockets) > 2


async def test_a_socket_closed_for_a_frames_size(scripted: tuple[Scripted, Howler]) -> None:
    upstream, howler = scripted
    upstream.attach = [(STARTED, says("Hel"), Close(1009)), (STARTED, says("Hello"), ENDED)]
    assert text_of(await howler.turn("1009")) == "Hello"


async def test_a_replay_that_contradicts_what_was_told_ends_the_turn(
    scripted: tuple[Scripted, Howler],
) -> None:
    """A5: REPLAY_DIVERGED, nothing is guessed and nothing taken back."""
    upstream, howler = scripted
    upstream.attach = [(STARTED, says("ABC"), Close(1011)), (STARTED, says("ABX and more"), ENDED)]
    events = await howler.turn("diverges")
    ended = events[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_REPLAY_DIVERGED,
        ErrorReason.ERROR_REASON_REPLAY_DIVERGED,
    )
    assert text_of(events) == "ABC"


async def test_a_question_is_answered_again_when_the_answer_may_be_lost(
    scripted: tuple[Scripted, Howler],
) -> None:
    """§7.6: the agent waits for it."""
    upstream, howler = scripted
    call = {"toolCall": {"toolCallId": "q1", "rawInput": {"questions": [{"question": "Which?"}]}}}
    asked = frame("task-running", call, kind="acp_ask_user_question")
    upstream.sockets.clear()
    upstream.attach = [(STARTED, asked, Close(1011)), (STARTED, asked, *TURN[1:])]
    events = await howler.turn("asks")
    kinds = [event.WhichOneof("event") for event in events]
    assert (kinds.count("question"), kinds.count("question_resolved")) == (1, 1)
    assert text_of(events) == "Hi"
    async with asyncio.timeout(60):
        await upstream.sockets[-1].until("reply-question")


async def test_an_agent_that_crashed_without_an_end_is_not_waited_for(howler: Howler) -> None:
    """A task-error is waited on for HOWLER_IDLE_TIMEOUT, for the platform goes on pinging (§6.6)."""
    events = await howler.turn("/fatal")
    ended = events[-1].ended
    assert (ended.reason, ended.error) == (EndReason.END_REASON_FAILED, ErrorReason.ERROR_REASON_AGENT_ERROR)
    assert "asked to crash" in ended.message
    async with howler.openai() as client:
        with pytest.raises(openai.APIStatusError, match="asked to crash"):
            await client.chat.completions.create(
                model="default", messages=[{"role": "user", "content": "/fatal"}]
            )
