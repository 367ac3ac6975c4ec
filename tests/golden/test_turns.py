"""Transcripts of other agents, dialects and hostile platforms become the golden events, in the pure core.

The same transcripts run through a real server in tests/e2e/test_grpc_transcripts.py. Goldens are
rewritten only with HOWLER_TEST_REWRITE_GOLDENS=1, and read by a person before they are committed.
"""

import os

import msgspec
import pytest
from howler.task.v1.start_turn_pb2 import QuestionPolicy

from server.acp.decode import Decoder
from server.acp.turn import Turn
from tests.support import grammar, transcripts
from tests.support.transcripts import Transcript

AUTO = QuestionPolicy.QUESTION_POLICY_AUTO


@pytest.mark.parametrize("transcript", transcripts.all_of(), ids=lambda transcript: transcript.name)
def test_a_transcript_gives_its_golden_events(transcript: Transcript) -> None:
    """P6, P6.1 to P6.5, P7.1"""
    decoder, turn = Decoder(), Turn(len(transcripts.PROMPT), transcript.questions)
    events, replies = [], []
    for frame in transcript.frames:
        events += turn.receive(decoder.decode(frame.encode()))
        replies += [msgspec.to_builtins(reply) for reply in turn.to_send()]
    grammar.check_body(events)
    assert max(event.ByteSize() for event in events) < 4 << 20, "a default gRPC client could not read it"
    seen = {"events": transcripts.told(events), "replies": replies, "ignored": turn.ignored}
    if os.environ.get("HOWLER_TEST_REWRITE_GOLDENS") == "1":
        transcripts.rewrite(transcript, seen)
    else:
        assert seen == transcript.golden


def test_sizes_are_counted_in_bytes() -> None:
    """A character may take three bytes: together the fields of a call stay below a default client's 4 MiB."""
    wide = "好" * 349_525  # just under 1 MiB
    update: dict[str, object] = {
        "sessionUpdate": "tool_call",
        "toolCallId": "t",
        "rawInput": wide,
        "rawOutput": wide[:120_000],
    }
    update["content"] = [{"type": "diff", "path": "a", "oldText": wide, "newText": wide}] * 3
    frame = {"type": "task-running", "kind": "acp_event", "data": {"update": update}}
    _started, called = Turn(0, AUTO).receive(Decoder().decode(msgspec.json.encode(frame)))
    assert called.tool_call.truncated
    assert called.ByteSize() < 4 << 20


def test_there_are_transcripts() -> None:
    assert len(transcripts.all_of()) >= 20
