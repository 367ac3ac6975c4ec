"""Streams that survive their sockets: cut at random bytes, with replays folded at random (A1; issue 5).

First and second turns, over gRPC, as chats and as stored responses; each ends with what its agent told.
200 cuts, and 1,000 where HOWLER_TEST_SECONDS gives ten minutes (`make test-full`). The seed is printed;
HOWLER_TEST_SEED takes one.
"""

import asyncio
import os
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from howler.conversation.v1.conversation_service_pb2 import CreateRequest
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, NoticeKind, TaskEvent
from howler.task.v1.task_service_pb2 import WatchRequest
from howler.task.v1.tool_call_pb2 import ToolCallState

from tests.support.cutting import Cutting
from tests.support.front import Front
from tests.support.howler import Howler
from tests.support.process import ROOT
from tests.support.sandbox import Sandbox
from tests.support.watched import Watched

KEEP = TaskRetention.TASK_RETENTION_KEEP
TURNS = 50
FULL = float(os.environ.get("HOWLER_TEST_SECONDS", "60")) >= 600
CUTS = 1000 if FULL else 200
STEPS = 500 if FULL else 120
THOUGHT = re.compile(r"\*\*Thinking\*\*\n\n(.*?)(?=\*\*Thinking\*\*|\*\*Plan\*\*|\Z)", re.DOTALL)
"""A piece of a response's reasoning that is the agent's."""
STATES = {
    "pending": ToolCallState.TOOL_CALL_STATE_FAILED,  # still open when the turn ended
    "in_progress": ToolCallState.TOOL_CALL_STATE_FAILED,
    "completed": ToolCallState.TOOL_CALL_STATE_COMPLETED,
    "failed": ToolCallState.TOOL_CALL_STATE_FAILED,
}


@dataclass(frozen=True)
class Seen:
    """What a watcher ends with: the text, and the thoughts and tool states where they are shown apart."""

    text: str
    thought: str | None = None
    tools: dict[str, int] | None = None

    def as_far_as(self, other: "Seen") -> "Seen":
        """Return it with what the other shows."""
        return Seen(
            self.text,
            self.thought if other.thought is not None else None,
            self.tools if other.tools is not None else None,
        )


def truth(log: list[dict[str, Any]]) -> Seen:
    """Return what the agent told."""
    text, thought, tools = "", "", dict[str, int]()
    for row in log:
        update = row["payload"]["update"] if row["kind"] == "acp_event" else {}
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                text += update["content"]["text"]
            case "agent_thought_chunk":
                thought += update["content"]["text"]
            case "tool_call" | "tool_call_update":
                tools[update["toolCallId"]] = STATES[update["status"]]
    return Seen(text, thought, tools)


def seen(events: list[TaskEvent]) -> Seen:
    """Return what a watcher over gRPC ends with."""
    calls = [event.tool_call for event in events if event.WhichOneof("event") == "tool_call"]
    return Seen(
        "".join(event.text_delta.text for event in events),
        "".join(event.thought_delta.text for event in events),
        {call.id: call.state for call in calls},
    )


def notices(events: list[TaskEvent], kind: NoticeKind) -> int:
    return sum(event.notice.kind == kind for event in events)


@dataclass(frozen=True)
class Ways:
    """How turns are run and watched, each with what its watchers ended with."""

    howler: Howler
    front: Front

    async def first(self, prompt: str) -> Seen:
        """Run a turn over gRPC, watched twice."""
        return await self._watched_twice(prompt, retention=KEEP)

    async def second(self, prompt: str) -> Seen:
        """Run the second turn of a conversation over gRPC, watched twice."""
        made = (await self.howler.conversations.Create(CreateRequest())).conversation
        await self.howler.turn("hello", conversation_id=made.conversation_id)
        return await self._watched_twice(prompt, conversation_id=made.conversation_id)

    async def _watched_twice(self, prompt: str, **start: Any) -> Seen:
        turn = Watched(self.howler, prompt, **start)
        await turn.until("accepted")
        asked = WatchRequest(watch=WatchTurn(turn_id=turn.turn_id))
        again = asyncio.create_task(self._watch(asked))
        events = await turn.rest()
        assert await again == events
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED, events[-1]
        reconnecting = notices(events, NoticeKind.NOTICE_KIND_RECONNECTING)
        assert reconnecting - notices(events, NoticeKind.NOTICE_KIND_RECONNECTED) in (0, 1)
        return seen(events)

    async def _watch(self, asked: WatchRequest) -> list[TaskEvent]:
        return [event async for response in self.howler.tasks.Watch(asked) for event in response.events]

    async def chat(self, prompt: str) -> Seen:
        """Stream a chat."""
        verdict = await self.front.chat(prompt)
        assert verdict.finish_reason == "stop"
        return Seen(verdict.content)

    async def second_chat(self, prompt: str) -> Seen:
        """Stream the second answer of a chat, whose history the client sends again."""
        asked = f"hello, {prompt.rpartition(' ')[2]}"
        answer = await self.front.chat(asked)
        messages = [(asked, "user"), (answer.content, "assistant"), (prompt, "user")]
        verdict = await self.front.chat(
            prompt, messages=[{"role": role, "content": text} for text, role in messages]
        )
        assert verdict.finish_reason == "stop"
        return Seen(verdict.content)

    async def response(self, prompt: str, **fields: Any) -> Seen:
        """Stream a stored response."""
        verdict = await self.front.response(prompt, **fields)
        assert verdict.terminal == "response.completed"
        return Seen(verdict.text, "".join(THOUGHT.findall(verdict.reasoning)))

    async def second_response(self, prompt: str) -> Seen:
        """Stream a stored response to another one."""
        before = await self.front.response("hello")
        return await self.response(prompt, previous_response_id=before.response.id)


async def told_by_agents(sandbox: Sandbox) -> dict[str, Seen]:
    """Return what was told in the newest turn of each task, by its prompt."""
    tasks = (await sandbox.state())["tasks"]
    told = {}
    for task in tasks:
        assert task["prompts"] == len(task["turns"]) <= 2
        log = await sandbox.log(task["id"])
        told[task["turns"][-1]["prompt"]] = truth([row for row in log if row["turn"] == log[-1]["turn"]])
    return told


async def test_no_word_is_lost_doubled_or_reordered(tmp_path: Path) -> None:
    """P7.2. What each watcher ends with is what the agent told: text, thoughts and tool states."""
    seed = int(os.environ.get("HOWLER_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: {CUTS} cuts over {TURNS} turns")
    env = {"HOWLER_ACCOUNTS_FILE": str(ROOT / "sandbox" / "accounts.json"), "HOWLER_FREE_SLOTS": "0"}
    async with (
        Sandbox() as sandbox,
        Cutting(sandbox.url, CUTS, seed) as cutting,
        Howler(tmp_path, upstream=cutting.url, env=env) as howler,
        Front(howler.facade.address) as front,
    ):
        await sandbox.faults(platform={"fold_seed": seed, "ingest_lag_ms": 150})
        ways = Ways(howler, front)
        kinds = (
            ways.first, ways.second, ways.first, ways.chat, ways.second_chat,
            ways.first, ways.second, ways.first, ways.response, ways.second_response,
        )  # fmt: skip
        prompts = [f"/mix {STEPS} 60 {seed % 900_000 + number}" for number in range(TURNS)]
        ends = await asyncio.gather(
            *(kinds[number % len(kinds)](prompt) for number, prompt in enumerate(prompts))
        )
        told = await told_by_agents(sandbox)
        assert len(told) == TURNS
        for prompt, end in zip(prompts, ends, strict=True):
            assert end == told[prompt].as_far_as(end), prompt
    print(f"cut: {cutting.made}")
    assert cutting.total >= CUTS
