"""Turns that are steered while they run: cancelled, left, asked."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import GetPoolRequest
from howler.task.v1.start_turn_pb2 import DetachAction, OnDetach, QuestionPolicy, TaskRetention
from howler.task.v1.task_event_pb2 import Answer, EndReason, QuestionResolution
from howler.task.v1.task_service_pb2 import (
    AnswerQuestionRequest,
    CancelTurnRequest,
    TaskState,
)

from tests.support.howler import Howler, refusal_of, refused, text_of
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
SLOW = "/pace 2000 20"  # forty seconds, if nobody stops it


async def sent(howler: Howler, task_id: str) -> list[str]:
    """Return the types of the frames that the sandbox got for a task."""
    return [frame.split('"')[3] for frame in await howler.sandbox.frames(task_id)]


async def test_cancel_ends_the_turn_and_the_task_takes_another(howler: Howler) -> None:
    """P3.2"""
    turn = Watched(howler, SLOW, retention=KEEP)
    await turn.until("text_delta")
    told = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert told.reason == EndReason.END_REASON_CANCELLED
    ended = (await turn.rest())[-1].ended
    assert (ended.reason, ended.error) == (
        EndReason.END_REASON_CANCELLED,
        ErrorReason.ERROR_REASON_CANCELLED,
    )
    assert ended.resumable
    assert "user-cancel" in await sent(howler, turn.task_id)
    again = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert again.reason == EndReason.END_REASON_CANCELLED
    assert text_of(await howler.turn("and now?", task_id=turn.task_id)).startswith("You said")


async def test_cancel_while_the_vm_boots(howler: Howler) -> None:
    turn = Watched(howler, "/slowboot 30")
    await turn.until("accepted")
    told = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert told.reason == EndReason.END_REASON_CANCELLED
    assert (await turn.rest())[-1].ended.reason == EndReason.END_REASON_CANCELLED


async def test_a_turn_that_nobody_knows(howler: Howler) -> None:
    request = CancelTurnRequest(turn_id="turn_no")
    assert await refusal_of(howler.tasks.CancelTurn(request)) == ("TURN_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


async def test_the_caller_who_leaves_takes_the_turn_along(howler: Howler) -> None:
    """T-A9: user-cancel, socket closed, task stopped, slot freed."""
    used = (await howler.pool.GetPool(GetPoolRequest())).slots_used
    turn = Watched(howler, SLOW)
    await turn.until("text_delta")
    turn.call.cancel()

    async def finished() -> bool:
        return bool((await howler.sandbox.task(turn.task_id))["status"] == "finished")

    await eventually(finished)
    assert "user-cancel" in await sent(howler, turn.task_id)
    state = await howler.sandbox.state()
    assert [one for one in state["sockets"]["open"] if one["task_id"] == turn.task_id] == []

    async def freed() -> bool:
        return bool((await howler.pool.GetPool(GetPoolRequest())).slots_used <= used)

    await eventually(freed)
    assert (await howler.task(turn.task_id)).state == TaskState.TASK_STATE_ENDED


async def test_the_caller_who_leaves_before_the_first_word(howler: Howler) -> None:
    turn = Watched(howler, "/slowboot 30")
    await turn.until("accepted")
    turn.call.cancel()

    async def gone() -> bool:
        task = await howler.sandbox.task(turn.task_id)
        return task["status"] == "finished" or bool(task["deleted"])

    await eventually(gone)


async def test_a_kept_task_stays_when_its_caller_leaves(howler: Howler) -> None:
    turn = Watched(howler, SLOW, retention=KEEP)
    await turn.until("text_delta")
    turn.call.cancel()

    async def idle() -> bool:
        return (await howler.task(turn.task_id)).state == TaskState.TASK_STATE_IDLE

    await eventually(idle)
    assert text_of(await howler.turn("still there?", task_id=turn.task_id))


async def test_a_turn_that_is_kept_runs_on_without_its_caller(howler: Howler) -> None:
    keep = OnDetach(action=DetachAction.DETACH_ACTION_KEEP)
    turn = Watched(howler, "/pace 20 20", on_detach=keep, retention=KEEP)
    await turn.until("text_delta")
    assert (await howler.task(turn.task_id)).state == TaskState.TASK_STATE_RUNNING
    turn.call.cancel()

    async def over() -> list[str]:
        turns = (await howler.sandbox.task(turn.task_id))["turns"]
        return [one["ending"] for one in turns if one["ending"]]

    await eventually(over)

    async def idle() -> bool:
        return (await howler.task(turn.task_id)).state == TaskState.TASK_STATE_IDLE

    await eventually(idle)
    assert "user-cancel" not in await sent(howler, turn.task_id)


async def test_the_grace_of_a_caller_who_leaves(howler: Howler) -> None:
    grace = OnDetach(grace=Duration(nanos=700_000_000))
    turn = Watched(howler, SLOW, on_detach=grace)
    await turn.until("text_delta")
    turn.call.cancel()
    await asyncio.sleep(0.2)
    assert "user-cancel" not in await sent(howler, turn.task_id)

    async def cancelled() -> bool:
        return "user-cancel" in await sent(howler, turn.task_id)

    await eventually(cancelled)


CARRIERS = {"/ask": "Which pipeline? all", "/ask2": "Which language? Go; Which targets? linux"}
"""A question in its own carrier and one as a tool call (§7.6), with the first option of each."""


@pytest.mark.parametrize("prompt", CARRIERS)
@pytest.mark.parametrize(
    ("policy", "resolution"),
    [
        (QuestionPolicy.QUESTION_POLICY_UNSPECIFIED, QuestionResolution.QUESTION_RESOLUTION_AUTO),
        (QuestionPolicy.QUESTION_POLICY_AUTO, QuestionResolution.QUESTION_RESOLUTION_AUTO),
        (QuestionPolicy.QUESTION_POLICY_DECLINE, QuestionResolution.QUESTION_RESOLUTION_DECLINED),
    ],
    ids=["unspecified", "auto", "decline"],
)
async def test_questions_that_howler_answers(
    howler: Howler, prompt: str, policy: QuestionPolicy, resolution: QuestionResolution
) -> None:
    """P6.5, issue 5: in both carriers, by policy."""
    events = await howler.turn(prompt, question_policy=policy, retention=STOP)
    (resolved,) = [event for event in events if event.WhichOneof("event") == "question_resolved"]
    assert resolved.question_resolved.resolution == resolution
    declined = policy == QuestionPolicy.QUESTION_POLICY_DECLINE
    answer = "You cancelled the question." if declined else f"You answered: {CARRIERS[prompt]}."
    assert text_of(events) == answer


@pytest.mark.parametrize("prompt", CARRIERS)
async def test_a_turn_that_asks_waits_for_its_answer(howler: Howler, prompt: str) -> None:
    """P6.5, issue 5: it waits on a new task and on one that exists, and the answer continues it."""
    task_id = ""
    for _ in range(2):
        turn = Watched(
            howler,
            prompt,
            question_policy=QuestionPolicy.QUESTION_POLICY_ASK,
            retention=KEEP,
            task_id=task_id,
        )
        question = (await turn.until("question")).question
        task_id = turn.task_id
        assert (await howler.task(task_id)).state == TaskState.TASK_STATE_RUNNING
        answers = [Answer(text=item.text, values=["my own"]) for item in question.items]
        await howler.tasks.AnswerQuestion(
            AnswerQuestionRequest(turn_id=turn.turn_id, question_id=question.question_id, answers=answers)
        )
        events = await turn.rest()
        assert text_of(events).count("my own") == len(question.items)
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED


async def test_a_turn_that_asks_can_be_cancelled(howler: Howler) -> None:
    """Issue 5: CancelTurn interrupts, keeps the task, ends the log CANCELLED; the question has expired."""
    turn = Watched(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK, retention=KEEP)
    question = (await turn.until("question")).question
    told = await howler.tasks.CancelTurn(CancelTurnRequest(turn_id=turn.turn_id))
    assert told.reason == EndReason.END_REASON_CANCELLED
    events = await turn.rest()
    (resolved,) = [event for event in events if event.WhichOneof("event") == "question_resolved"]
    assert resolved.question_resolved.question_id == question.question_id
    assert resolved.question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_EXPIRED
    assert events[-1].ended.resumable
    late = AnswerQuestionRequest(turn_id=turn.turn_id, question_id=question.question_id, decline=True)
    assert await refused(howler.tasks.AnswerQuestion(late)) in ("QUESTION_NOT_FOUND", "TURN_NOT_FOUND")
    assert text_of(await howler.turn("and now?", task_id=turn.task_id)).startswith("You said")


async def test_a_question_that_the_caller_answers(howler: Howler) -> None:
    """P6.5"""
    turn = Watched(howler, "/ask2", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    question = (await turn.until("question")).question
    answers = [
        Answer(text=question.items[0].text, values=["Rust"]),
        Answer(text=question.items[1].text, values=["linux", "darwin"]),
    ]

    def request(**fields: Any) -> AnswerQuestionRequest:
        usual = {"turn_id": turn.turn_id, "question_id": question.question_id, "answers": answers}
        return AnswerQuestionRequest(**{**usual, **fields})

    answer = howler.tasks.AnswerQuestion
    assert await refused(answer(request(turn_id="turn_no"))) == "TURN_NOT_FOUND"
    assert await refused(answer(request(question_id="no"))) == "QUESTION_NOT_FOUND"
    assert await refused(answer(request(answers=answers[:1]))) == "INVALID_REQUEST"
    huge = [Answer(text=item.text, values=["x" * 40_000]) for item in question.items]
    assert await refused(answer(request(answers=huge))) == "INVALID_REQUEST"
    await answer(request())
    assert await refused(answer(request())) in ("QUESTION_NOT_FOUND", "TURN_NOT_FOUND")
    events = await turn.rest()
    assert text_of(events) == "You answered: Which language? Rust; Which targets? linux, darwin."
    (resolved,) = [event for event in events if event.WhichOneof("event") == "question_resolved"]
    assert resolved.question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_ANSWERED


async def test_a_question_that_the_caller_declines(howler: Howler) -> None:
    turn = Watched(howler, "/ask", question_policy=QuestionPolicy.QUESTION_POLICY_ASK)
    question = (await turn.until("question")).question
    await howler.tasks.AnswerQuestion(
        AnswerQuestionRequest(turn_id=turn.turn_id, question_id=question.question_id, decline=True)
    )
    assert text_of(await turn.rest()) == "You cancelled the question."


async def test_the_log_is_clean(howler: Howler) -> None:
    assert "Traceback" not in howler.server.errors
