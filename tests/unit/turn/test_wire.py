"""The spelling of frames, against the messages that it spells."""

from google.rpc.status_pb2 import Status
from howler.task.v1.relay_pb2 import RelayResponse, TurnFrame
from howler.task.v1.task_event_pb2 import TaskEvent, TextDelta
from howler.task.v1.task_service_pb2 import StreamResponse
from hypothesis import given
from hypothesis import strategies as st

from server.turn.wire import failed_frame, first_field, relay_response, turn_frame

events = st.lists(st.text(max_size=300), max_size=8).map(
    lambda texts: [
        TaskEvent(seq=number, text_delta=TextDelta(text=text)) for number, text in enumerate(texts)
    ]
)
tags, seqs = st.integers(1, (1 << 32) - 1), st.integers(1, (1 << 64) - 1)


def fields(told: list[TaskEvent]) -> list[bytes]:
    return [first_field(event.SerializeToString()) for event in told]


@given(events)
def test_events_are_a_stream_response(told: list[TaskEvent]) -> None:
    assert StreamResponse.FromString(b"".join(fields(told))) == StreamResponse(events=told)


@given(st.lists(st.tuples(tags, seqs, events), max_size=4))
def test_frames_are_a_relay_response(frames: list[tuple[int, int, list[TaskEvent]]]) -> None:
    spelled = relay_response(turn_frame(tag, seq, fields(told)) for tag, seq, told in frames)
    wanted = [TurnFrame(tag=tag, first_seq=seq, events=told) for tag, seq, told in frames]
    assert RelayResponse.FromString(spelled) == RelayResponse(frames=wanted)


@given(tags, st.text(max_size=300))
def test_a_failure_is_a_frame(tag: int, message: str) -> None:
    status = Status(code=5, message=message)
    assert TurnFrame.FromString(failed_frame(tag, status)) == TurnFrame(tag=tag, failed=status)
