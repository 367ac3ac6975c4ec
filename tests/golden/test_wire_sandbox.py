"""The sandbox's wire against the worked frames of the protocol: tests/golden/wire/README.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.agent import acp
from sandbox.agent.step import Emit
from sandbox.wire import gojson
from sandbox.wire.frame import Frame, MalformedFrameError, encode, parse
from sandbox.wire.prompt import Attachment, Prompt, Reply, read_call, read_prompt, read_reply, write_prompt

_ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for path in sorted(Path(__file__).with_name("wire").glob("*.jsonl"))
    for line in path.read_text("utf-8").splitlines()
]


def _rows(direction: str, *dialects: str) -> list[Any]:
    return [
        pytest.param(row, id=f"{row['section']} {row['name']}")
        for row in _ROWS
        if row["direction"] == direction and row["dialect"] in dialects
    ]


def test_every_section_is_there() -> None:
    assert {row["section"].partition(".")[0] for row in _ROWS} == {"6", "7", "8", "10"}


@pytest.mark.parametrize("row", _rows("down", "native"))
def test_the_encoder_writes_each_down_frame_byte_for_byte(row: dict[str, Any]) -> None:
    told = json.loads(row["frame"])
    data = (row["payload_text"] or "").encode()
    frame = Frame(told["type"], data, told["kind"], told.get("seq", 0), told["timestamp"])
    assert encode(frame) == row["frame"]


@pytest.mark.parametrize("row", _rows("down", "native"))
def test_payloads_are_written_as_go_writes_them(row: dict[str, Any]) -> None:
    if row["payload_text"] is not None:
        assert gojson.dumps(row["payload"]) == row["payload_text"]


@pytest.mark.parametrize("row", _rows("up", "native", "storage", "text", "legacy", "desktop"))
def test_the_parser_reads_each_up_frame_as_the_platform_does(row: dict[str, Any]) -> None:
    if row["platform"] is None:
        with pytest.raises(MalformedFrameError):
            parse(row["frame"])
        return
    frame = parse(row["frame"])
    assert frame.data.decode() == row["payload_text"]
    if frame.type == "user-input":
        assert read_prompt(frame.data).text == row["platform"]
    elif frame.type == "reply-question":
        reply = read_reply(frame.data)
        assert reply is not None
        assert reply.payload() == row["payload"]
    else:
        call = read_call(frame.data)
        assert call is not None
        assert call.text("request_id") == row["payload"]["request_id"]


def _payload(section: str, name: str) -> str:
    (row,) = [row for row in _ROWS if row["section"] == section and row["name"] == name]
    text: str = row["payload_text"]
    return text


def test_prompts_are_written_in_the_canonical_form() -> None:
    shot = Attachment("/api/v1/assets?key=temp%2F5f0c_9a.png", "shot.png")
    assert write_prompt(Prompt("hello")).decode() == _payload("6.4", "canonical")
    assert write_prompt(Prompt("hello", (shot,))).decode() == _payload("6.4", "one attachment")
    assert read_prompt(_payload("6.4", "one attachment").encode()) == Prompt("hello", (shot,))


@pytest.mark.parametrize(
    ("section", "name", "emitted"),
    [
        ("6.4", "agent text Hi", acp.said("Hi")),
        ("7.1", "agent_message_chunk text", acp.said("Done.")),
        ("7.1", "agent_thought_chunk text", acp.thought("Look at the trace")),
        ("7.2", "agent_message_chunk image", acp.image("iVBORw0KGgo=")),
        (
            "7.3",
            "tool_call pending",
            acp.tool_call("t2", "Bash", "execute", status="pending", rawInput={"command": "go test ./..."}),
        ),
        ("7.3", "tool_call_update in_progress", acp.tool_update("t2", status="in_progress")),
        (
            "7.3",
            "tool_call_update completed",
            acp.tool_update("t2", status="completed", rawOutput={"output": "ok  1.2s"}),
        ),
        ("7.4", "plan", acp.plan(("Locate panic", "high", "in_progress"))),
        ("7.5", "usage_update", acp.usage(3400)),
    ],
)
def test_the_agent_tells_what_the_protocol_shows(section: str, name: str, emitted: Emit) -> None:
    assert gojson.dumps(emitted.payload) == _payload(section, name)


def test_a_reply_is_written_as_the_protocol_shows() -> None:
    reply = Reply("q1", '{"Which pipeline?":"all"}', cancelled=False)
    assert gojson.dumps(reply.payload()) == _payload("7.6", "reply to a question")
