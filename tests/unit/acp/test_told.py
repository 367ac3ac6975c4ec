"""What a replay adds to what was told: exactly the rest, however it is cut and merged (A3, A5; §6.8)."""

import pytest
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import (
    Answer,
    Ended,
    NoticeKind,
    QuestionItem,
    QuestionOption,
    QuestionResolution,
    TaskEvent,
    TextDelta,
)
from howler.task.v1.tool_call_pb2 import ToolCallState
from hypothesis import given
from hypothesis import strategies as st

from server.acp.frames import Answered, Asked, Began, Called, Frame, Noted, Over, Said, Shown, Thought
from server.acp.told import Retelling, Track
from server.acp.turn import Turn
from tests.support.retold import fold, fresh, noted, seen, told_by, turns

DONE = ToolCallState.TOOL_CALL_STATE_COMPLETED
FAILED = ToolCallState.TOOL_CALL_STATE_FAILED
RUNNING = ToolCallState.TOOL_CALL_STATE_IN_PROGRESS
ASK = QuestionPolicy.QUESTION_POLICY_ASK
ITEM = QuestionItem(text="Which?", options=[QuestionOption(label="all"), QuestionOption(label="one")])


def retold(before: list[Frame], replay: list[Frame]) -> tuple[list[TaskEvent], list[TaskEvent], Retelling]:
    """Return what was told of `before`, what `replay` adds to it, and how it was sifted."""
    told = told_by(before)
    retelling = Retelling(noted(told))
    news = [event for event in told_by(replay) if event.WhichOneof("event") != "ended"]
    return told, retelling.sift(news) + retelling.rest(), retelling


@given(st.data())
def test_any_replay_adds_exactly_the_rest(data: st.DataObject) -> None:
    """A3: any partition into merged rows, any cut; every row is a cut at any character, too."""
    live = data.draw(turns())[:-1]
    cut = data.draw(st.integers(0, len(live)))
    reach = data.draw(st.integers(cut, len(live)))
    replay = fold(live[:reach], lambda: data.draw(st.booleans()), data.draw(st.booleans()))
    told, news, retelling = retold(live[:cut], replay)
    assert not retelling.diverged
    assert retelling.covers
    assert seen(told + news) == seen(told_by(live[:reach]))


@given(st.data())
def test_a_replay_of_less_adds_nothing(data: st.DataObject) -> None:
    """The store may lag behind what was told: no contradiction, and nothing is told again."""
    live = data.draw(turns())[:-1]
    cut = data.draw(st.integers(0, len(live)))
    reach = data.draw(st.integers(0, cut))
    told, news, retelling = retold(
        live[:cut], fold(live[:reach], lambda: data.draw(st.booleans()), data.draw(st.booleans()))
    )
    assert not retelling.diverged
    assert seen(told + news) == seen(told)


@given(st.data())
def test_a_replay_that_says_otherwise_is_found_out(data: st.DataObject) -> None:
    """A5: one character of what was told is another, or is missing. Where that leaves less than was told
    it does not cover it, which is a contradiction once the replay has ended."""
    live = data.draw(turns())[:-1]
    spoken = [place for place, frame in enumerate(live) if isinstance(frame, Said | Thought)]
    if not spoken:
        return
    place = data.draw(st.sampled_from(spoken))
    frame = live[place]
    assert isinstance(frame, Said | Thought)
    at = data.draw(st.integers(0, len(frame.text) - 1))
    other = "#" + frame.text[at + 1 :] if data.draw(st.booleans()) else frame.text[at + 1 :] + "#"
    wrong = [*live[:place], type(frame)(text=frame.text[:at] + other), *live[place + 1 :]]
    _, news, retelling = retold(live, wrong)
    assert retelling.diverged or not retelling.covers
    assert not seen(news).text + seen(news).thought


@given(st.lists(st.text(alphabet="aé中👩", min_size=1), max_size=8), st.data())
def test_a_row_may_end_inside_what_a_person_sees_as_one_character(
    pieces: list[str], data: st.DataObject
) -> None:
    whole = "".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    _, news, retelling = retold([Said(text=whole[:cut])], [Said(text=piece) for piece in pieces])
    assert not retelling.diverged
    assert "".join(event.text_delta.text for event in news) == whole[cut:]


def test_a_text_is_known_by_its_digest_however_long_it_is() -> None:
    track, again = Track(), Track()
    for number in range(5_000):
        track.add(f"tok{number} é")
    again.add("".join(f"tok{number} é" for number in range(5_000)))
    assert (track.length, track.digest) == (again.length, again.digest)
    again.add("x" * 200_000)
    assert again.length == track.length + 200_000


def test_a_text_is_heard_whole_wherever_it_goes_on() -> None:
    """As when a replay has caught up with what was told: its own track is the one that grows then."""
    heard: list[str] = []
    track, replay = Track(), Track()
    track.heard = heard.append
    for number in range(1_000):
        track.add(f"tok{number} ")
        replay.add(f"tok{number} ")
    track.go_on_in(replay)
    replay.add("more")
    assert replay.length == track.length + 4
    assert "".join(heard) == "".join(f"tok{number} " for number in range(1_000)) + "more"


def test_what_is_read_back_of_a_log_is_what_was_told() -> None:
    """The fold is made of events alone: a log gives them back after a restart."""
    events = [TaskEvent(text_delta=TextDelta(text="ABC")), TaskEvent(ended=Ended())]
    spelled = [TaskEvent.FromString(event.SerializeToString()) for event in events]
    retelling = Retelling(noted(spelled))
    assert seen(retelling.sift(told_by([Said(text="ABCD")]))).text == "D"


def test_a_call_that_ended_is_not_told_again_and_may_not_end_otherwise() -> None:
    before: list[Frame] = [Called(id="t1", title="Bash", state=DONE, output="ok")]
    _, news, retelling = retold(before, [Called(id="t1", title="B", state=RUNNING), *before])
    assert (news, retelling.covers) == ([], True)
    _, _, retelling = retold(before, [Called(id="t1", title="Bash", state=FAILED)])
    assert retelling.diverged


def test_a_call_goes_on_where_it_was() -> None:
    """Its older titles are not told again; what is new comes with what was swallowed before it."""
    before: list[Frame] = [Called(id="t1", title="Bash"), Called(id="t1", title="Bash: ls", state=RUNNING)]
    more: list[Frame] = [Called(id="t1", output="a.txt"), Called(id="t1", state=DONE)]
    _, news, _ = retold(before, [*before, *more])
    assert [(e.tool_call.title, e.tool_call.output, e.tool_call.state) for e in news] == [
        ("Bash: ls", "a.txt", RUNNING),
        ("Bash: ls", "", DONE),
    ]
    merged: list[Frame] = [Called(id="t1", title="Bash: ls -l", state=RUNNING, output="a.txt")]
    _, news, _ = retold(before, merged)
    assert [(e.tool_call.title, e.tool_call.output) for e in news] == [("Bash: ls -l", "a.txt")]


def test_images_and_notices_are_told_once_each_time_that_they_happen() -> None:
    image = Shown(mime_type="image/png", data=b"1", uri="")
    note = Noted(kind=NoticeKind.NOTICE_KIND_LLM_RETRY, message="again")
    _, news, _ = retold([image, note], [image, note, note, image, image])
    assert [event.WhichOneof("event") for event in news] == ["notice", "image", "image"]


def test_what_no_replay_holds_is_not_missed() -> None:
    """§8: task-events are not persisted."""
    files = Noted(kind=NoticeKind.NOTICE_KIND_FILES_CHANGED, message="a.txt")
    _, news, retelling = retold([Said(text="a"), files], [Said(text="ab"), files])
    assert retelling.covers
    assert [event.WhichOneof("event") for event in news] == ["text_delta", "notice"]


def test_a_question_that_was_answered_is_answered_alike_unless_the_replay_shows_it() -> None:
    """§7.6: the answer may be lost with the socket; the agent waits for it."""
    before = Turn(1, ASK)
    asked = Asked(id="q1", items=(ITEM,))
    told = before.receive(Began()) + before.receive(asked)
    told += before.answer("q1", [Answer(text="Which?", values=["one"])], decline=False)
    known = noted(told)
    again = Turn(1, ASK, known.questions)
    retelling = Retelling(known)
    assert retelling.sift([*again.receive(Began()), *again.receive(asked)]) == []
    assert retelling.covers
    assert [reply.answers for reply in again.to_send()] == [{"Which?": "one"}]
    third = Turn(1, ASK, known.questions)
    third.receive(asked)
    third.receive(Answered(id="q1", answers=(("Which?", ("one",)),), cancelled=False))
    assert third.to_send() == []


def test_a_question_answered_elsewhere_meanwhile_is_told_so() -> None:
    before = Turn(1, ASK)
    asked = Asked(id="q1", items=(ITEM,))
    known = noted(before.receive(asked))
    again = Turn(1, ASK, known.questions)
    events = again.receive(asked) + again.receive(Answered(id="q1", answers=(), cancelled=False))
    (news,) = Retelling(known).sift(events)
    assert news.question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_ELSEWHERE


@pytest.mark.parametrize("first", [Began(), Said(text="x"), Thought(text="y")])
def test_the_fold_of_a_machine_is_that_of_its_events(first: Frame) -> None:
    machine = fresh()
    frames = [first, Said(text="é"), Called(id="t1", title="Bash"), Thought(text="hm"), Over()]
    events = told_by(frames, machine)
    assert machine.told.extent == noted(events).extent
