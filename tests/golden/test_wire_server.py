"""The worked frames of the protocol, verbatim: what the server reads in them, and that it writes the same.

The sandbox is checked against the same lines (test_wire_sandbox.py).
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from howler.task.v1.task_event_pb2 import Command, NoticeKind, PlanEntry, PlanEntryStatus
from howler.task.v1.tool_call_pb2 import ToolCallState

from server.acp.decode import Decoder
from server.acp.frames import (
    Began,
    Called,
    Echo,
    Frame,
    Metered,
    Noted,
    Offered,
    Planned,
    Said,
    Severed,
    Shown,
    Silent,
    Thought,
    Unknown,
)
from server.acp.uplink import Dialect, Enclosed, FrameTooLarge, Reply, call_frame, prompt_frame, reply_frame

LINES: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for path in sorted((Path(__file__).parent / "wire").glob("*.jsonl"))
    for line in path.read_text().splitlines()
]
DOWN = [line for line in LINES if line["direction"] == "down"]
PROMPTS = [line for line in LINES if line["text"] is not None]
AT: Final = 1784088476000

MEANINGS: Final[dict[str, Frame]] = {
    "RE answer": Said(text="Hi"),
    "server echo in mode=new": Echo(text="hello", at=AT + 37),
    "agent text Hi": Said(text="Hi", at=AT + 851),
    "turn start": Began(at=AT + 74),
    "keep-alive": Silent(),
    "history cursor": Silent(at=AT + 37),
    "error text": Severed(message="no virtual machine or host for task"),
    "agent_message_chunk text": Said(text="Done."),
    "agent_thought_chunk text": Thought(text="Look at the trace"),
    "agent_message_chunk image": Shown(mime_type="image/png", data=b"\x89PNG\r\n\x1a\n", uri=""),
    "tool_call pending": Called(
        id="t2",
        title="Bash",
        kind="execute",
        state=ToolCallState.TOOL_CALL_STATE_PENDING,
        raw_input='{"command":"go test ./..."}',
    ),
    "tool_call_update in_progress": Called(id="t2", state=ToolCallState.TOOL_CALL_STATE_IN_PROGRESS),
    "tool_call_update completed": Called(
        id="t2", state=ToolCallState.TOOL_CALL_STATE_COMPLETED, output="ok  1.2s"
    ),
    "plan": Planned(
        entries=(
            PlanEntry(
                content="Locate panic",
                priority="high",
                status=PlanEntryStatus.PLAN_ENTRY_STATUS_IN_PROGRESS,
            ),
        )
    ),
    "available_commands_update": Offered(commands=(Command(name="compact", description="…"),)),
    "usage_update": Metered(context_used=3400, context_size=200000),
    "response to restart": Unknown(
        type="call-response",
        kind="restart",
        data='{"id":"7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11","request_id":"r1","success":true,"message":"",'
        '"session_id":"ses_1"}',
        at=1784088478368,
    ),
    "port opened": Noted(
        kind=NoticeKind.NOTICE_KIND_PORTS_CHANGED, message="PORT_CHANGE_TYPE_OPENED", at=AT + 1443
    ),
}
"""What each frame of the platform means. Section 7 gives payloads without frames: it tells no times."""

REPLY = Reply(request_id="q1", answers={"Which pipeline?": "all"}, cancelled=False)
WRITTEN: Final = {
    "canonical": prompt_frame("hello", Dialect.NATIVE),
    "one attachment": prompt_frame(
        "hello", Dialect.NATIVE, (Enclosed("/api/v1/assets?key=temp%2F5f0c_9a.png", "shot.png"),)
    ),
    "real": prompt_frame("hello", Dialect.NATIVE),
    "RE-TS": prompt_frame("hello", Dialect.TEXT),
    "RE-PY": prompt_frame("hello", Dialect.LEGACY),
    "reply to a question": reply_frame(REPLY, Dialect.NATIVE),
    "call restart": call_frame("restart", {"request_id": "r1", "load_session": True}),
    "call switch_model": call_frame(
        "switch_model",
        {"request_id": "r2", "model_id": "0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001", "load_session": True},
    ),
}
UNWRITTEN: Final = {
    "bytes are the prompt": "the platform's fallback for what is not canonical",
    "plaintext storage form": "how the platform stores prompts",
    "RE-TS doc": "a comment of the TypeScript proxy that its code does not follow",
    "RE reply": "an answer without its question; Howler names the question it answers",
    "desktop": "the desktop's fixtures",
}


def name_of(line: dict[str, Any]) -> str:
    return str(line["name"])


def test_every_line_has_its_meaning_here() -> None:
    assert {name_of(line) for line in DOWN} == set(MEANINGS)
    assert {name_of(line) for line in LINES if line["direction"] == "up"} == {*WRITTEN, *UNWRITTEN}


@pytest.mark.parametrize("line", DOWN, ids=name_of)
def test_what_the_platform_sends_is_understood(line: dict[str, Any]) -> None:
    """P4, P6"""
    envelope = json.loads(line["frame"])
    decoder = Decoder()
    assert decoder.payload(envelope.get("data")) == line["payload"]
    if line["payload"] is not None:
        assert (decoder.native, decoder.foreign) == (line["dialect"] == "native", line["dialect"] != "native")
    frame = Decoder().decode(line["frame"])
    expected = MEANINGS[line["name"]]
    assert type(frame) is type(expected)
    assert frame.seq == envelope.get("seq", 0)
    for field in set(expected.__struct_fields__) - {"seq"}:
        if field != "at" or not line["section"].startswith("7"):
            assert getattr(frame, field) == getattr(expected, field), field


@pytest.mark.parametrize("line", PROMPTS, ids=name_of)
def test_a_prompt_is_read_in_every_dialect(line: dict[str, Any]) -> None:
    """P4: the downlink of every dialect is understood by one decoder."""
    decoder = Decoder()
    decoder.decode('{"type":"task-running","data":"e30="}')  # the peer speaks base64: §10.2 (c)
    frame = decoder.decode(line["frame"])
    assert isinstance(frame, Echo)
    assert frame.text == line["text"]


@pytest.mark.parametrize(
    "line", [line for line in LINES if line["name"] in WRITTEN and line["direction"] == "up"], ids=name_of
)
def test_what_the_server_writes_is_the_worked_frame_byte_for_byte(line: dict[str, Any]) -> None:
    """P4"""
    assert WRITTEN[line["name"]] == line["frame"]


def test_the_largest_prompt_of_one_frame() -> None:
    """§6.4: 18,390 ASCII bytes canonical, 24,552 as legacy text."""
    assert len(prompt_frame("x" * 18_390, Dialect.NATIVE)) <= 32_768
    with pytest.raises(FrameTooLarge):
        prompt_frame("x" * 18_391, Dialect.NATIVE)
