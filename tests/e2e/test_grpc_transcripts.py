"""Transcripts of other agents run through a real server, over real sockets, and give the golden events."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from howler.task.v1.start_turn_pb2 import TaskRetention

from tests.support import transcripts
from tests.support.howler import Howler
from tests.support.scripted import COOKIE, Scripted, ScriptedSocket
from tests.support.transcripts import PROMPT, Transcript

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRANSCRIPTS = pytest.mark.parametrize("transcript", transcripts.all_of(), ids=lambda item: item.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[Scripted]:
    async with Scripted() as scripted:
        yield scripted


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(upstream: Scripted, folder: Path) -> AsyncIterator[Howler]:
    env = {
        "HOWLER_UPSTREAM_COOKIE": COOKIE,
        "HOWLER_ACCOUNT_SLOTS": "1000",
        "HOWLER_UPSTREAM_DIALECT": "native",
    }
    async with Howler(folder, upstream=upstream.url, facade=False, env=env) as running:
        yield running


def replies_on(socket: ScriptedSocket) -> list[dict[str, Any]]:
    """Return the answers to questions that the client sent, as the platform reads them."""
    frames = [json.loads(frame) for frame in socket.heard]
    payloads = [
        json.loads(base64.b64decode(frame["data"])) for frame in frames if frame["type"] == "reply-question"
    ]
    return [
        {
            "request_id": payload["request_id"],
            "answers": json.loads(payload["answers_json"] or "{}"),
            "cancelled": payload["cancelled"],
        }
        for payload in payloads
    ]


def unnumbered(frame: str) -> str:
    """Return a frame without its number: transcripts have gaps, which count as losses (§6.8)."""
    return re.sub(r',\s*"seq":\s*\d+', "", frame)


@TRANSCRIPTS
async def test_a_transcript_gives_its_golden_events(
    upstream: Scripted, howler: Howler, transcript: Transcript
) -> None:
    """P3, P6: the first turn by attach, a second one on the same task by mode=new."""
    upstream.attach = upstream.new = [tuple(map(unnumbered, transcript.frames))]
    keep = TaskRetention.TASK_RETENTION_KEEP
    first = await howler.turn(PROMPT, question_policy=transcript.questions, retention=keep)
    assert transcripts.told(first[1:]) == transcript.golden["events"]
    await upstream.sockets[-1].closed.wait()
    assert upstream.sockets[-1].mode == "attach"
    assert replies_on(upstream.sockets[-1]) == transcript.golden["replies"]

    task_id = first[0].accepted.task_id
    second = await howler.turn(PROMPT, question_policy=transcript.questions, task_id=task_id)
    assert transcripts.told(second[1:]) == transcript.golden["events"]
    await upstream.sockets[-1].closed.wait()
    assert upstream.sockets[-1].mode == "new"
    assert replies_on(upstream.sockets[-1]) == transcript.golden["replies"]


async def test_howler_closes_each_socket_itself_and_sends_what_the_platform_knows(
    upstream: Scripted, howler: Howler
) -> None:
    """P3.2: the server never closes after task-ended (§6.10); the first turn's prompt is never sent again."""
    assert all(socket.closed.is_set() for socket in upstream.sockets)
    for socket in upstream.sockets:
        prompts = [name for name in socket.types() if name == "user-input"]
        assert socket.types()[0] == "auto-approve"
        assert len(prompts) == (socket.mode == "new")
    assert "Traceback" not in howler.server.errors
