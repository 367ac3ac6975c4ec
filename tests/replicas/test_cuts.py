"""Streams that survive their sockets: cut at random bytes, with replays folded at random (A1; issue 5).

200 cuts, and 1,000 where HOWLER_TEST_SECONDS gives ten minutes (`make test-full`). The seed is printed;
HOWLER_TEST_SEED takes one.
"""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, NoticeKind, TaskEvent, ToolCallState

from tests.support.cutting import Cutting
from tests.support.howler import Howler
from tests.support.process import ROOT
from tests.support.sandbox import Sandbox

TURNS = 50
FULL = float(os.environ.get("HOWLER_TEST_SECONDS", "60")) >= 600
CUTS = 1000 if FULL else 200
STEPS = 500 if FULL else 120
STATES = {
    "pending": ToolCallState.TOOL_CALL_STATE_FAILED,  # still open when the turn ended
    "in_progress": ToolCallState.TOOL_CALL_STATE_FAILED,
    "completed": ToolCallState.TOOL_CALL_STATE_COMPLETED,
    "failed": ToolCallState.TOOL_CALL_STATE_FAILED,
}


def truth(log: list[dict[str, Any]]) -> tuple[str, str, dict[str, int]]:
    """Return the text, the thoughts and the tool states of what the agent told."""
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
    return text, thought, tools


def seen(events: list[TaskEvent]) -> tuple[str, str, dict[str, int]]:
    """Return what a watcher ends with."""
    calls = [event.tool_call for event in events if event.WhichOneof("event") == "tool_call"]
    return (
        "".join(event.text_delta.text for event in events),
        "".join(event.thought_delta.text for event in events),
        {call.id: call.state for call in calls},
    )


def notices(events: list[TaskEvent], kind: NoticeKind) -> int:
    return sum(event.notice.kind == kind for event in events)


async def test_no_word_is_lost_doubled_or_reordered(tmp_path: Path) -> None:
    """P7.2. What each watcher ends with is what the agent told: text, thoughts and tool states."""
    seed = int(os.environ.get("HOWLER_TEST_SEED", random.randrange(1 << 30)))
    print(f"seed {seed}: {CUTS} cuts over {TURNS} turns")
    env = {"HOWLER_ACCOUNTS_FILE": str(ROOT / "sandbox" / "accounts.json")}
    async with (
        Sandbox() as sandbox,
        Cutting(sandbox.url, CUTS, seed) as cutting,
        Howler(tmp_path, upstream=cutting.url, facade=False, env=env) as howler,
    ):
        await sandbox.faults(platform={"fold_seed": seed, "ingest_lag_ms": 150})
        turns = await asyncio.gather(
            *(
                howler.turn(f"/mix {STEPS} 60 {seed + number}", retention=TaskRetention.TASK_RETENTION_KEEP)
                for number in range(TURNS)
            )
        )
        for events in turns:
            assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED, events[-1]
            assert seen(events) == truth(await sandbox.log(events[0].accepted.task_id))
            reconnecting = notices(events, NoticeKind.NOTICE_KIND_RECONNECTING)
            assert reconnecting - notices(events, NoticeKind.NOTICE_KIND_RECONNECTED) in (0, 1)
        tasks = (await sandbox.state())["tasks"]
        assert [task["prompts"] for task in tasks] == [1] * TURNS
    print(f"cut: {cutting.made}")
    assert cutting.total >= CUTS
