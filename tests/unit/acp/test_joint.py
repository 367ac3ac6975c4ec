"""Between a replay and what follows it no hole is passed over, and nothing is told twice (A4, §6.8.3)."""

from collections.abc import Sequence

import pytest
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import Answer, QuestionItem, QuestionResolution, TaskEvent
from howler.task.v1.tool_call_pb2 import ToolCallState
from hypothesis import given
from hypothesis import strategies as st

from server.acp.frames import Asked, Began, Called, Echo, Frame, Over, Said, Silent
from server.acp.joint import Joint, Prompt, overlap
from server.acp.turn import Turn
from tests.support.retold import PROMPT, fold, fresh, noted, seen, told_by, turns

ASK = QuestionPolicy.QUESTION_POLICY_ASK
DONE = ToolCallState.TOOL_CALL_STATE_COMPLETED
START: list[Frame] = [Echo(text=PROMPT, seq=1, at=1), Began(seq=2, at=2)]


def said(text: str, first: int) -> list[Frame]:
    """Return a chunk for each character, numbered from `first`."""
    return [Said(text=piece, seq=seq, at=seq) for seq, piece in enumerate(text, first)]


def joint_of(told: Sequence[Frame], complete: int, prompt: Prompt | None = None) -> Joint:
    """Return the joint of a turn of which these frames were told."""
    return Joint(noted(told_by(list(told))), complete, fresh(), prompt)


def given_to(joint: Joint, frames: Sequence[Frame]) -> str:
    """Give frames to a joint and return the text that it lets through."""
    return seen([event for frame in frames for event in joint.receive(frame)]).text


class Follow:
    """Follows one socket as the server does: what was joined is followed until a number is left out."""

    def __init__(self, joint: Joint) -> None:
        self.joint = joint
        self.machine: Turn | None = None
        self.complete = 0

    def hear(self, frame: Frame) -> list[TaskEvent]:
        """Return what a frame tells."""
        if self.machine is not None and frame.seq == self.complete + 1:
            self.complete = frame.seq
            return self.machine.receive(frame)
        if self.machine is not None:
            self.joint, self.machine = Joint.in_doubt(self.machine, self.complete, None), None
        return self.joined(self.joint.receive(frame))

    def look(self, stored: list[Frame]) -> list[TaskEvent]:
        """Return what the stored rows tell."""
        if self.machine is not None:
            self.joint, self.machine = Joint.in_doubt(self.machine, self.complete, None), None
        return self.joined(self.joint.mend(stored, fresh()))

    def joined(self, news: list[TaskEvent]) -> list[TaskEvent]:
        """Follow the socket directly once it was joined."""
        if self.joint.joined:
            self.machine, self.complete = self.joint.machine, self.joint.complete
        return news


@given(st.data())
def test_no_hole_is_passed_over_and_nothing_is_told_twice(data: st.DataObject) -> None:
    """A3, A4: any cut, lag, hole and partition; what was told is at each moment the beginning of it all."""
    live = data.draw(turns())
    whole = seen(told_by(live))
    cut = data.draw(st.integers(0, len(live) - 1))
    events = told_by(live[:cut])
    knows = cut > 0 and data.draw(st.booleans())
    follow = Follow(joint_of(live[:cut], live[cut - 1].seq if knows else 0))

    def stored(until: int) -> list[Frame]:
        return fold(live[:until], lambda: data.draw(st.booleans()), data.draw(st.booleans()))

    def take(news: list[TaskEvent]) -> None:
        events.extend(news)
        now = seen(events)
        assert whole.text.startswith(now.text)
        assert whole.thought.startswith(now.thought)
        assert not follow.joint.diverged
        assert now.ended <= 1

    attached = data.draw(st.integers(cut, len(live)))
    lag = data.draw(st.integers(0, attached))  # what is stamped before the attach and not stored is lost
    for frame in stored(attached - lag):
        take(follow.hear(frame))
    if lag:
        for place in range(attached, len(live)):
            take(follow.hear(live[place]))
            if not seen(events).ended and follow.machine is None and data.draw(st.booleans()):
                take(follow.look(stored(data.draw(st.integers(0, place + 1)))))
    if not seen(events).ended:
        take(follow.look(stored(len(live))))
    assert seen(events) == whole


def test_a_replay_whose_rows_stand_alone_proves_itself() -> None:
    """Numbers that follow each other from the turn's beginning leave nothing out."""
    joint = joint_of([*START, *said("ABC", 3)], complete=0)
    assert given_to(joint, [*START, *said("ABCDE", 3)]) == "DE"
    assert joint.joined
    assert joint.complete == 7


def test_a_live_message_right_behind_what_was_told_needs_no_proof() -> None:
    """Merged rows hide where they end; the number that was told last does not."""
    joint = joint_of([*START, *said("ABC", 3)], complete=5)
    assert given_to(joint, [*START, Said(text="ABC", seq=3, at=5), *said("D", 6)]) == "D"
    assert joint.joined


def test_a_silent_hole_is_held_and_filled_from_what_is_stored() -> None:
    """ "ABC" and "FG" fit together; only the numbers say that something may be missing."""
    joint = joint_of([*START, *said("ABC", 3)], complete=5)
    assert given_to(joint, [*START, Said(text="ABC", seq=3, at=5), *said("FG", 8)]) == ""
    assert joint.holding
    merged: list[Frame] = [*START, Said(text="ABCDEFG", seq=3, at=9)]
    assert seen(joint.mend([*merged[:2], Said(text="ABCD", seq=3, at=6)], fresh())).text == "D"
    assert not joint.joined, "what is stored does not reach what is held"
    assert given_to(joint, said("HI", 10)) == ""
    assert seen(joint.mend(merged, fresh())).text == "EFGHI"
    assert joint.joined
    assert joint.complete == 11


def test_what_fits_nowhere_else_is_a_hole_and_no_contradiction() -> None:
    """Told "ABCDE", replayed "ABC", then live "FG": the store lags; "ABCFG" was never said."""
    joint = joint_of([*START, *said("ABCDE", 3)], complete=7)
    assert given_to(joint, [*START, Said(text="ABC", seq=3, at=5), *said("FG", 8)]) == ""
    assert joint.holding
    assert not joint.diverged
    stored: list[Frame] = [*START, Said(text="ABCDEF", seq=3, at=8)]
    assert seen(joint.mend([*stored, Called(id="t", seq=9, at=9)], fresh())).text == "F"


def test_a_text_that_repeats_itself_is_waited_out() -> None:
    """A "ha" of "hahaha" fits in several places: what is stored is told, the rest waits for another text."""
    joint = joint_of([*START, *said("ha", 3)], complete=4)
    given_to(joint, [*START, Said(text="ha", seq=3, at=4), *said("hahaha", 7)])
    assert joint.holding
    row = [*START, Said(text="hahahaha", seq=3, at=9)]
    news = joint.mend(row, fresh())
    assert seen(news).text == "hahaha"
    assert not joint.joined
    given_to(joint, said("!", 13))
    news = joint.mend([*START, Said(text="hahahahaha", seq=3, at=12), Said(text="!", seq=13, at=13)], fresh())
    assert seen(news).text == "ha!"
    assert joint.joined


def test_a_row_that_was_stored_later_than_all_that_is_held_decides_nothing() -> None:
    held = said("ha", 7)
    assert overlap([Said(text="xh", seq=3, at=7)], held) is None, "it may end anywhere in its millisecond"
    assert overlap([Said(text="xhah", seq=3, at=9)], held) is None, "the live stream is behind"
    assert overlap([Said(text="x", seq=3, at=3)], held) is None, "it does not reach"
    assert overlap([Said(text="xh", seq=3, at=7), Said(text="a", seq=8, at=8)], held) == 2


def test_what_comes_behind_a_jump_is_not_live_yet() -> None:
    """Numbers that go back (39, 40, then 22) are those of a replay."""
    joint = joint_of([], complete=0)
    for frame in [*START, Called(id="t", seq=39, at=39), *said("a", 22), *said("b", 41)]:
        joint.receive(frame)
    rows: list[Frame] = [*START, Called(id="t", seq=39, at=39), *said("a", 22), *said("b", 41)]
    assert seen(joint.mend(rows, fresh())).text == "ab"
    assert joint.joined


def test_a_replay_without_its_beginning_is_not_believed() -> None:
    """The store lags so far that it has nothing: what comes first is live, from the middle of the turn."""
    joint = joint_of([], complete=0)
    assert given_to(joint, said("cd", 5)) == ""
    assert joint.holding
    assert seen(joint.mend([*START, *said("abc", 3)], fresh())).text == "abcd"


def test_frames_without_numbers_are_believed() -> None:
    """§10: older backends number nothing."""
    joint = joint_of([Began(), Said(text="AB")], complete=0)
    frames: list[Frame] = [
        Echo(text=PROMPT),
        Began(),
        Said(text="A"),
        Said(text="BC"),
        Silent(),
        Said(text="D"),
    ]
    told = ""
    for frame in frames:
        if joint.joined:
            told += seen(joint.machine.receive(frame)).text
        else:
            told += given_to(joint, [frame])
    assert told == "CD"


@pytest.mark.parametrize(
    ("echo", "ours"),
    [
        (Echo(text=PROMPT, seq=9, at=200), True),
        (Echo(text=PROMPT, at=100), True),
        (Echo(text=PROMPT, seq=1, at=99), False),
        (Echo(text="another", seq=9, at=200), False),
    ],
)
def test_the_latest_turn_of_a_task_may_be_the_one_before(echo: Echo, ours: bool) -> None:
    """§6.8.1: what attach replays is ours only where it begins with our input."""
    joint = joint_of([], 0, Prompt(PROMPT, since=100))
    told = given_to(joint, [echo, Began(seq=10, at=201), Said(text="a", seq=11, at=202)])
    assert (joint.another, told) == (not ours, "a" if ours else "")
    stored: list[Frame] = [echo, Said(text="a", seq=11, at=202), Over(seq=12, at=203)]
    again = joint_of([], 0, Prompt(PROMPT, since=100))
    again.receive(Said(text="z", seq=50, at=300))
    assert bool(again.mend(stored, fresh())) is ours


def test_a_turn_that_ended_before_all_that_was_told_contradicts_it() -> None:
    joint = joint_of([*START, *said("ABC", 3)], complete=5)
    assert given_to(joint, [*START, *said("AB", 3), Over(seq=5, at=5)]) == ""
    assert joint.diverged
    again = joint_of([*START, *said("ABC", 3)], complete=5)
    again.receive(Said(text="z", seq=50, at=300))
    assert again.mend([*START, *said("AB", 3), Over(seq=5, at=5)], fresh()) == []
    assert again.diverged


@pytest.mark.parametrize("heard", range(6))
def test_a_question_is_answered_at_any_moment_of_a_replay(heard: int) -> None:
    """It is told once, and the agent is owed the reply by whichever machine follows the socket then."""
    asks = Asked(id="q1", items=(QuestionItem(text="Which?"),), seq=5, at=5)
    live: list[Frame] = [*START, *said("ab", 3), asks, Silent()]
    told = noted(told_by(live, Turn(1, ASK)))
    joint = Joint(told, 5, Turn(1, ASK, told.questions), None)
    for frame in live[:heard]:
        assert joint.receive(frame) == []
    with pytest.raises(ValueError, match="1 of 1 items have no answer"):
        joint.answer("q1", [], decline=False)
    (resolved,) = joint.answer("q1", [Answer(text="Which?", values=["this"])], decline=False)
    assert resolved.question_resolved.resolution == QuestionResolution.QUESTION_RESOLUTION_ANSWERED
    for frame in live[heard:]:
        assert joint.receive(frame) == []
    assert joint.joined
    assert [reply.answers for reply in joint.machine.to_send()] == [{"Which?": "this"}]
    with pytest.raises(LookupError):
        joint.answer("q1", [], decline=True)
