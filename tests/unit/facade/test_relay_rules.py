"""The rules of a Relay that need no socket: which tag is free when, what is written in which order."""

from howler.task.v1.relay_pb2 import RelayRequest
from howler.task.v1.start_turn_pb2 import StartTurn
from hypothesis import given
from hypothesis import strategies as st

from facade.backend.outbox import Outbox
from facade.backend.tags import Tags


def entered(tag: int) -> RelayRequest:
    return RelayRequest(tag=tag, start=StartTurn(prompt=f"turn {tag}"))


def test_tags_count_from_one() -> None:
    tags = Tags()
    assert [tags.take() for _ in range(3)] == [1, 2, 3]


def test_tag_of_a_turn_that_ended_is_free() -> None:
    tags = Tags()
    first, second = tags.take(), tags.take()
    tags.end(second)
    tags.end(first)
    assert [tags.take() for _ in range(3)] == [second, first, 3], "the one free longest first"


def test_detached_tag_waits_for_proof_that_the_server_read_it() -> None:
    tags = Tags()
    left, older = tags.take(), tags.take()
    tags.detach(left)
    tags.hear(older)
    assert tags.take() == 3, "a turn entered before the Detach proves nothing"
    tags.hear(3)
    assert tags.take() == left


@given(st.lists(st.sampled_from(["take", "end", "detach", "serve", "tell"]), min_size=40, max_size=200))
def test_no_frame_is_ever_taken_for_another_turns(steps: list[str]) -> None:
    """A server that reads in order and tells late: a frame names the turn that has the tag."""
    tags, turn = Tags(), 0
    ours: dict[int, int] = {}
    theirs: dict[int, int] = {}
    asked: list[tuple[str, int, int]] = []
    frames: list[tuple[int, int]] = []
    for step in steps:
        match step:
            case "take":
                tag, turn = tags.take(), turn + 1
                assert tag not in ours
                ours[tag] = turn
                asked.append(("enter", tag, turn))
            case "detach" if ours:
                tag = min(ours)
                del ours[tag]
                tags.detach(tag)
                asked.append(("detach", tag, 0))
            case "serve" if asked:
                kind, tag, number = asked.pop(0)
                if kind == "enter":
                    theirs[tag] = number
                else:
                    theirs.pop(tag, None)
                frames += theirs.items()
            case "tell" | "end" if frames:
                tag, number = frames.pop(0)
                if tag not in ours:
                    continue
                assert ours[tag] == number
                tags.hear(tag)
                if step == "end" and (tag, number) not in frames and theirs.get(tag) == number:
                    del ours[tag], theirs[tag]
                    tags.end(tag)


def test_grants_wait_behind_requests_and_add_up() -> None:
    outbox = Outbox()
    outbox.grant(1, 10)
    outbox.grant(2, 5)
    outbox.grant(1, 20)
    outbox.enter(entered(3))
    assert outbox.take() == [entered(3)]
    assert [(request.tag, request.grant.bytes) for request in outbox.take()] == [(1, 30), (2, 5)]
    assert outbox.take() == []


def test_requests_that_wait_together_go_together_as_far_as_they_are_small() -> None:
    outbox = Outbox()
    sizes = [1_000, 60_000, 10_000, 70_000, 1_000, 1_000]
    for tag, size in enumerate(sizes, 1):
        outbox.enter(RelayRequest(tag=tag, start=StartTurn(prompt="x" * size)))
    outbox.detach(1)
    written = [[request.tag for request in outbox.take()] for _ in range(5)]
    assert written == [[1, 2], [3], [4], [5, 6, 1], []]


def test_no_credit_for_a_turn_that_is_over_or_left() -> None:
    outbox = Outbox()
    outbox.grant(1, 10)
    outbox.grant(2, 10)
    outbox.forget(1)
    outbox.detach(2)
    (written,) = outbox.take()
    assert (written.tag, written.WhichOneof("request")) == (2, "detach")
    assert outbox.take() == []


def test_turn_that_was_not_asked_for_is_withdrawn() -> None:
    outbox = Outbox()
    for tag in (1, 2, 3):
        outbox.enter(entered(tag))
    outbox.withdraw(2)
    assert [outbox.take() for _ in range(2)] == [[entered(1), entered(3)], []]
