"""Turns on the sandbox over gRPC: every scenario, models, conversations, sizes."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import MatchedBy
from howler.task.v1.start_turn_pb2 import (
    ApprovalPolicy,
    HeldLease,
    Idempotency,
    Message,
    OnDetach,
    Role,
    StartTurn,
    TaskRetention,
    Transcript,
)
from howler.task.v1.task_event_pb2 import EndReason, NoticeKind, TaskEvent, UsageSource
from howler.task.v1.task_service_pb2 import StreamRequest
from howler.task.v1.tool_call_pb2 import ToolCallState

from tests.support import grammar
from tests.support.howler import Howler, reason_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
NO_VALUE: Any = 9  # of no enum
COMPLETED = EndReason.END_REASON_COMPLETED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder, facade=False, env={"HOWLER_QUEUE_TIMEOUT": "5"}) as running:
        yield running


def of_kind(events: list[TaskEvent], kind: str) -> list[Any]:
    """Return the payloads of the events of one kind."""
    return [getattr(event, kind) for event in events if event.WhichOneof("event") == kind]


async def refusal(howler: Howler, **start: Any) -> tuple[str, grpc.StatusCode, str]:
    """Run a turn that is refused before it is accepted: reason, code, message."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await howler.turn(**start)
    return reason_of(raised.value), raised.value.code(), raised.value.details() or ""


ENDLESS = {"/fatal", "/mute"}
ENDS = {"/error": ErrorReason.ERROR_REASON_AGENT_ERROR, "/bootfail": ErrorReason.ERROR_REASON_VM_FAILED}


async def test_every_scenario_obeys_the_grammar_and_ends_right(howler: Howler) -> None:
    """P6"""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{howler.sandbox.url}/__sandbox/scenarios") as answer,
    ):
        told = await answer.json()
    rows = told["scenarios"] if isinstance(told, dict) else told
    names = {row["usage"].split()[0] for row in rows if row["usage"].startswith("/")}
    assert ENDLESS | set(ENDS) <= names
    short = {"/silence": "/silence 0.1", "/slowboot": "/slowboot 0.1", "/pace": "/pace 3 5"}
    for name in sorted(names - ENDLESS):
        events = await howler.turn(short.get(name, name), retention=STOP)
        ended = events[-1].ended
        assert ended.error == ENDS.get(name, ErrorReason.ERROR_REASON_UNSPECIFIED), name
        assert (ended.reason == COMPLETED) == (name not in ENDS), name
        assert not ended.resumable


async def test_a_dead_agent_is_cancelled_by_its_callers_deadline(howler: Howler) -> None:
    events = await howler.turn("/mute", deadline=Duration(nanos=400_000_000))
    assert events[-1].ended.reason == EndReason.END_REASON_TIME_LIMIT


async def test_the_plain_answer(howler: Howler) -> None:
    """P6.1, P6.2, P6.6"""
    events = await howler.turn("Say something")
    assert text_of(events).startswith("You said: “Say something”.")
    thoughts = "".join(delta.text for delta in of_kind(events, "thought_delta"))
    assert thoughts.endswith("A short answer will do.")  # in one piece where a replay merged them (§6.8)
    assert events[0].accepted.matched_by == MatchedBy.MATCHED_BY_DEFAULT
    assert events[0].accepted.model.id == "monkeycode/DeepSeek/deepseek-v4"
    assert of_kind(events, "usage")[-1].context.used_tokens > 0
    tokens = events[-1].ended.usage.tokens
    assert tokens.source == UsageSource.USAGE_SOURCE_ESTIMATED
    assert tokens.input_tokens == -(-len("Say something") // 4)
    assert events[-1].ended.resumable


@pytest.mark.parametrize(
    ("policy", "approves"),
    [
        (ApprovalPolicy.APPROVAL_POLICY_UNSPECIFIED, True),
        (ApprovalPolicy.APPROVAL_POLICY_AUTO, True),
        (ApprovalPolicy.APPROVAL_POLICY_MANUAL, False),
    ],
)
async def test_approval_is_the_callers_choice(howler: Howler, policy: ApprovalPolicy, approves: bool) -> None:
    """P6.6"""
    events = await howler.turn("/pace 10 20", approval_policy=policy)
    assert (await howler.sandbox.task(events[0].accepted.task_id))["auto_approve"] == approves


async def test_tools_plan_image_and_notices(howler: Howler) -> None:
    """P6.3, P6.4"""
    events = await howler.turn("/all")
    calls: dict[str, list[ToolCallState]] = {}
    for call in of_kind(events, "tool_call"):
        calls.setdefault(call.title, []).append(call.state)
    assert calls["Bash"] == [1, 2, 3]
    assert calls["Grep"] == [2, 4]
    (diff,) = [diff for call in of_kind(events, "tool_call") for diff in call.diffs]
    assert diff.path.startswith("notes/")
    assert [entry.status for entry in of_kind(events, "plan")[-1].entries] == [3, 2]
    assert of_kind(events, "image")[0].mime_type == "image/png"
    assert of_kind(events, "commands")[0].commands[0].name == "compact"
    assert NoticeKind.NOTICE_KIND_LLM_RETRY in [notice.kind for notice in of_kind(events, "notice")]


async def test_a_call_that_never_ends_is_failed(howler: Howler) -> None:
    """P8.4"""
    last = {call.title: call.state for call in of_kind(await howler.turn("/toolfail"), "tool_call")}
    assert last == {
        "Bash": ToolCallState.TOOL_CALL_STATE_FAILED,
        "Fetch": ToolCallState.TOOL_CALL_STATE_FAILED,
    }


async def test_progress_while_the_vm_boots(howler: Howler) -> None:
    events = await howler.turn("/slowboot 0.4")
    assert of_kind(events, "progress")
    assert text_of(events)


async def test_a_megabyte_of_prompt_goes_by_content_unharmed(howler: Howler) -> None:
    prompt = "".join(f"{number:07x}é" for number in range(120_000))
    assert len(prompt.encode()) > 1_000_000
    events = await howler.turn(prompt, retention=STOP)
    assert hashlib.sha256(prompt.encode()).hexdigest() in text_of(events)


async def test_big_outputs_fit_a_client_with_default_limits(howler: Howler) -> None:
    """A message of ours is never over gRPC's default of 4 MiB."""
    size = 6_000_000
    async with grpc.aio.insecure_channel(howler.server.address) as channel:
        howler_stub = type(howler.tasks)(channel)
        for prompt in (f"/long {size}", f"/big {size}"):
            call = howler_stub.Stream(StreamRequest(start=StartTurn(prompt=prompt, retention=STOP)))
            events = [event async for response in call for event in response.events]
            grammar.check(events)
            assert events[-1].ended.reason == COMPLETED
            if prompt.startswith("/long"):
                assert text_of(events) == "x" * size
            else:
                assert any(call.truncated for call in of_kind(events, "tool_call"))


async def test_unicode_comes_through(howler: Howler) -> None:
    whole = text_of(await howler.turn("/unicode"))
    assert "👩‍👩‍👧" in whole
    assert "עברית" in whole


@pytest.mark.parametrize(
    ("name", "found", "layer"),
    [
        ("monkeycode/SiliconFlow/glm-5", "monkeycode/SiliconFlow/glm-5", MatchedBy.MATCHED_BY_ID),
        ("OpenAI/gpt-5.5", "monkeycode/OpenAI/gpt-5.5", MatchedBy.MATCHED_BY_PROVIDER_MODEL),
        ("glm-5", "monkeycode/SiliconFlow/glm-5", MatchedBy.MATCHED_BY_MODEL),
        ("Team Qwen", "monkeycode/BaiLian/qwen4-coder", MatchedBy.MATCHED_BY_DISPLAY_NAME),
        ("no such model", "monkeycode/DeepSeek/deepseek-v4", MatchedBy.MATCHED_BY_DEFAULT),
        ("monkeycode/Moonshot/kimi-k3#2", "monkeycode/Moonshot/kimi-k3#2", MatchedBy.MATCHED_BY_ID),
    ],
)
async def test_the_layers_of_a_models_name(howler: Howler, name: str, found: str, layer: MatchedBy) -> None:
    """P5.1"""
    events = await howler.turn("hi", model=name, retention=STOP)
    accepted = events[0].accepted
    assert (accepted.model.id, accepted.matched_by) == (found, layer)
    assert (await howler.sandbox.task(events[0].accepted.task_id))["model_id"] == accepted.model.upstream_id


@pytest.mark.parametrize("name", ["no such model", "monkeycode-basic"])
async def test_a_strict_name_must_match(howler: Howler, name: str) -> None:
    """P5.1: hidden models never match."""
    told = await refusal(howler, prompt="hi", model=name, strict_model=True)
    assert told[:2] == ("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


async def test_a_model_that_no_account_may_use(howler: Howler) -> None:
    """10812 of the cloud's plan check (§1.4)."""
    told = await refusal(howler, prompt="hi", model="monkeycode-ultra-1")
    assert told[:2] == ("MODEL_ACCESS_DENIED", grpc.StatusCode.PERMISSION_DENIED)


def conversation(*said: tuple[Role, str]) -> Transcript:
    return Transcript(messages=[Message(role=role, text=text) for role, text in said])


async def test_a_lone_message_is_the_prompt_as_it_is(howler: Howler) -> None:
    events = await howler.turn(messages=conversation((Role.ROLE_USER, "just this")))
    assert text_of(events).startswith("You said: “just this”.")


async def test_a_conversation_is_written_out_on_a_new_task(howler: Howler) -> None:
    """P10"""
    messages = conversation(
        (Role.ROLE_USER, "My name is Ann"), (Role.ROLE_ASSISTANT, "Hello Ann"), (Role.ROLE_USER, "Who am I?")
    )
    asked = await howler.turn(messages=messages)
    content = (await howler.sandbox.task(asked[0].accepted.task_id))["content"]
    assert content.index("My name is Ann") < content.index("Hello Ann") < content.index("Who am I?")


async def test_only_the_last_message_goes_to_a_task_that_remembers(howler: Howler) -> None:
    """P10: the first turn by attach, later ones by mode=new."""
    first = await howler.turn("My name is Ann", instructions="be kind", retention=KEEP)
    assert (await howler.sandbox.task(first[0].accepted.task_id))["system_prompt"] == "be kind"
    messages = conversation((Role.ROLE_USER, "My name is Ann"), (Role.ROLE_USER, "Who am I?"))
    second = await howler.turn(messages=messages, task_id=first[0].accepted.task_id)
    assert "before that you said “My name is Ann”" in text_of(second)
    turns = (await howler.sandbox.task(second[0].accepted.task_id))["turns"]
    assert [turn["prompt"] for turn in turns] == ["My name is Ann", "Who am I?"]
    assert second[0].accepted.matched_by == MatchedBy.MATCHED_BY_UNSPECIFIED


async def test_the_largest_prompt_that_a_frame_holds(howler: Howler) -> None:
    """§6.4: 18,390 ASCII bytes fit; one more goes as a file (test_grpc_attachments.py)."""
    first = await howler.turn("first", retention=KEEP)
    task_id = first[0].accepted.task_id
    for size in (18_390, 18_391):
        await howler.turn("x" * size, task_id=task_id)
    turns = (await howler.sandbox.task(first[0].accepted.task_id))["turns"]
    assert [len(turn["prompt"]) for turn in turns[1:]] == [18_390, len(turns[2]["prompt"])]
    assert [bool(turn["attachments"]) for turn in turns] == [False, False, True]


@pytest.mark.parametrize(
    ("start", "names"),
    [
        (StartTurn(), "start"),
        (StartTurn(prompt=" \n"), "start.prompt"),
        (StartTurn(messages=Transcript()), "start.messages"),
        (StartTurn(messages=conversation((Role.ROLE_ASSISTANT, "hi"))), "start.messages"),
        (StartTurn(messages=conversation((Role.ROLE_USER, " "))), "start.messages"),
        (StartTurn(messages=conversation((NO_VALUE, "a"), (Role.ROLE_USER, "b"))), "start.messages"),
        (StartTurn(prompt="a", principal="x" * 129), "start.principal"),
        (StartTurn(prompt="a", request_id="é" * 65), "start.request_id"),
        (StartTurn(prompt="a", task_id="t", instructions="i"), "start.instructions"),
        (StartTurn(prompt="a", deadline=Duration()), "start.deadline"),
        (StartTurn(prompt="a", deadline=Duration(seconds=-1)), "start.deadline"),
        (StartTurn(prompt="a", on_detach=OnDetach(grace=Duration(seconds=-1))), "start.on_detach.grace"),
        (StartTurn(prompt="a", on_detach=OnDetach(action=NO_VALUE)), "start.on_detach.action"),
        (StartTurn(prompt="a", retention=NO_VALUE), "start.retention"),
        (StartTurn(prompt="a", durability=NO_VALUE), "start.durability"),
        (StartTurn(prompt="a", approval_policy=NO_VALUE), "start.approval_policy"),
        (StartTurn(prompt="a", question_policy=NO_VALUE), "start.question_policy"),
        (StartTurn(prompt="a", when_busy=NO_VALUE), "start.when_busy"),
        (
            StartTurn(prompt="a", idempotency=Idempotency(key="k", attempt=NO_VALUE)),
            "start.idempotency.attempt",
        ),
        (StartTurn(prompt="a", deadline=Duration(seconds=1 << 62)), "start.deadline"),
        (StartTurn(prompt="a", on_detach=OnDetach(grace=Duration(seconds=1 << 62))), "start.on_detach.grace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_meant_is_refused_by_name(howler: Howler, start: StartTurn, names: str) -> None:
    call = howler.tasks.Stream(StreamRequest(start=start))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await anext(aiter(call))
    assert reason_of(raised.value) == "INVALID_REQUEST"
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert names in (raised.value.details() or "")


async def test_a_lease_that_nobody_holds(howler: Howler) -> None:
    told = await refusal(howler, prompt="hi", lease=HeldLease(lease_id="lease_no", token=7))
    assert told[0] in ("LEASE_LOST", "LEASE_NOT_FOUND")


async def test_nothing_is_left_open_and_the_log_is_clean(howler: Howler) -> None:
    """P3.2"""
    assert (await howler.sandbox.state())["sockets"]["stream"] == 0
    assert "Traceback" not in howler.server.errors
    assert "You said" not in howler.server.errors
    assert "My name is Ann" not in howler.server.errors
