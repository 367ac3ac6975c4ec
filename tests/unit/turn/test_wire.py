"""The spelling of frames, against the messages that it spells."""

from google.rpc.status_pb2 import Status
from howler.task.v1.relay_pb2 import RelayResponse, TurnFrame
from howler.task.v1.task_event_pb2 import TaskEvent, TextDelta
from howler.task.v1.task_service_pb2 import StreamResponse
from hypothesis import given
from hypothesis import strategies as st

from server.turn.wire import (
    behind_fields,
    count_fields,
    cut_fields,
    failed_frame,
    first_field,
    frame_of,
    relay_response,
    told,
    turn_frame,
)

events = st.lists(st.text(max_size=300), max_size=8).map(
    lambda texts: [
        TaskEvent(seq=number, text_delta=TextDelta(text=text)) for number, text in enumerate(texts)
    ]
)
tags, seqs = st.integers(1, (1 << 32) - 1), st.integers(1, (1 << 64) - 1)


def fields(said: list[TaskEvent]) -> list[bytes]:
    return [first_field(event.SerializeToString()) for event in said]


@given(events)
def test_events_are_a_stream_response(said: list[TaskEvent]) -> None:
    assert StreamResponse.FromString(b"".join(fields(said))) == StreamResponse(events=said)


@given(tags, seqs, events)
def test_a_frame_may_say_that_it_is_the_last(tag: int, seq: int, said: list[TaskEvent]) -> None:
    frame = told(turn_frame(frame_of(tag), seq, fields(said)))
    assert TurnFrame.FromString(frame) == TurnFrame(tag=tag, first_seq=seq, events=said, told=True)


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=12), st.data())
def test_joined_fields_are_cut_where_they_meet(messages: list[bytes], data: st.DataObject) -> None:
    joined = b"".join(map(first_field, messages))
    assert behind_fields(joined, 0, len(messages)) == len(joined)
    count, last = count_fields(joined)
    assert (count, joined[last:]) == (len(messages), messages[-1])
    begin = data.draw(st.integers(0, len(messages) - 1))
    count = data.draw(st.integers(1, len(messages) - begin))
    limit = data.draw(st.integers(0, sum(map(len, messages)) + 1))
    start = behind_fields(joined, 0, begin)
    end, taken, size = cut_fields(joined, start, count, limit)
    assert joined[start:end] == b"".join(map(first_field, messages[begin : begin + taken]))
    assert size == sum(map(len, messages[begin : begin + taken]))
    assert taken == 1 or size <= limit
    assert taken == count or size + len(messages[begin + taken]) > limit


@given(st.lists(st.tuples(tags, seqs, events), max_size=4))
def test_frames_are_a_relay_response(frames: list[tuple[int, int, list[TaskEvent]]]) -> None:
    spelled = relay_response(turn_frame(frame_of(tag), seq, fields(said)) for tag, seq, said in frames)
    wanted = [TurnFrame(tag=tag, first_seq=seq, events=said) for tag, seq, said in frames]
    assert RelayResponse.FromString(spelled) == RelayResponse(frames=wanted)


@given(tags, st.text(max_size=300))
def test_a_failure_is_a_frame(tag: int, message: str) -> None:
    status = Status(code=5, message=message)
    assert TurnFrame.FromString(failed_frame(tag, status)) == TurnFrame(tag=tag, failed=status)
