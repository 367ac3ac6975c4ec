"""What every store must do for replicas that share it: turns and their logs."""

from dataclasses import replace

import pytest
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import EndReason

from server.pool.account import LeaseId, TaskId
from server.store.open import AnyStore
from server.store.turns import Span, StoredTurn, TurnChange
from tests.store.records import ANN, granted, task

COMPLETED = EndReason.END_REASON_COMPLETED
RUNS = EndReason.END_REASON_UNSPECIFIED


def turn(turn_id: str = "turn", **columns: object) -> StoredTurn:
    made = StoredTurn(turn_id, StartTurn(prompt="hi"), ANN, lease_id="l1", create_us=5, principal="ann")
    return replace(made, **columns)  # type: ignore[arg-type]


def spans(*sizes: int) -> list[Span]:
    """Return spans of so many events each, with eight bytes for an event; what they hold does not matter."""
    made, seq = [], 1
    for size in sizes:
        made.append(Span(seq, size, bytes([seq]) * 8 * size))
        seq += size
    return made


async def write(store: AnyStore, *made: Span, turn_id: str = "turn") -> frozenset[str]:
    return await store.turns.write([(turn_id, span) for span in made], [])


def ended(turn_id: str = "turn", at_us: int = 9) -> TurnChange:
    return TurnChange(turn_id, "t1", "m", at_us, COMPLETED)


async def test_a_turn_is_kept_as_it_began(store: AnyStore, other: AnyStore) -> None:
    assert await store.turns.get("turn") is None
    began = turn(
        key="k", digest=b"\0\xff", conversation_id="c", prompt="hi!", held_task_id="t0", active_at=1 << 40
    )
    await store.turns.begin(began)
    assert await other.turns.get("turn") == replace(began, replica=store.replica)
    await store.turns.begin(replace(began, account_id="acc_bob", lease_id="l2"))
    found = await other.turns.get("turn")
    assert found is not None
    assert (found.account_id, found.lease_id) == ("acc_bob", "l2")


async def test_what_becomes_of_a_turn_is_written_with_its_log(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    accepted = TurnChange("turn", "t1", "m", None, RUNS)
    assert await store.turns.write([("turn", spans(3)[0])], [accepted]) == {"turn"}
    found = await other.turns.get("turn")
    assert found is not None
    assert (found.task_id, found.model, found.end_us, found.last_seq) == ("t1", "m", None, 3)
    assert await store.turns.write([], [ended()]) == frozenset()
    found = await other.turns.get("turn")
    assert found is not None
    assert (found.end_us, found.end_reason, found.last_seq) == (9, COMPLETED, 3)


async def test_a_log_is_read_from_any_event(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    made = spans(1, 4, 2, 1)
    assert await write(store, *made) == {"turn"}
    for seq in range(1, 9):
        holder = next(index for index, span in enumerate(made) if span.first_seq <= seq < span.behind)
        assert await other.turns.read("turn", seq, 1 << 20) == made[holder:]
        assert await other.turns.read("turn", seq, 1) == made[holder : holder + 1]
    assert await other.turns.read("turn", 1, 8 * 2) == made[:2]
    assert await other.turns.read("turn", 9, 1 << 20) == []
    assert await other.turns.read("none", 1, 1 << 20) == []


async def test_a_log_of_many_spans_is_read_in_pages(store: AnyStore) -> None:
    await store.turns.begin(turn())
    made = [Span(seq, 1, b"x") for seq in range(1, 1001)]
    assert await write(store, *made) == {"turn"}
    read: list[Span] = []
    while page := await store.turns.read("turn", len(read) + 1, 1 << 20):
        read += page
    assert read == made


async def test_writing_a_span_again_changes_nothing(store: AnyStore) -> None:
    await store.turns.begin(turn())
    (span,) = spans(2)
    for _ in range(2):
        assert await write(store, span) == {"turn"}
    assert await store.turns.read("turn", 1, 100) == [span]


async def test_only_the_replica_of_a_turn_writes_it(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    await other.turns.begin(turn("theirs"))
    (span,) = spans(1)
    assert await other.turns.write([("turn", span), ("theirs", span)], [ended()]) == {"theirs"}
    assert await store.turns.read("turn", 1, 100) == []
    found = await store.turns.get("turn")
    assert found is not None
    assert found.end_us is None


async def test_a_running_turn_is_claimed_once(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn())
    assert not await other.turns.claim("turn", "nobody", ANN, "l2")
    assert await other.turns.claim("turn", store.replica, ANN, "l2")
    assert not await other.turns.claim("turn", store.replica, ANN, "l3")
    (span,) = spans(1)
    assert await write(store, span) == frozenset()
    assert await write(other, span) == {"turn"}
    found = await store.turns.get("turn")
    assert found is not None
    assert (found.replica, found.lease_id) == (other.replica, "l2")
    await other.turns.write([], [ended()])
    assert not await store.turns.claim("turn", other.replica, ANN, "l4")


async def test_what_is_not_durable_is_not_claimed(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn(durable=False))
    assert not await other.turns.claim("turn", store.replica, ANN, "l2")
    assert await other.turns.strays() == {}


async def test_a_stray_is_held_by_no_lease_and_no_busy_task(store: AnyStore, other: AnyStore) -> None:
    await granted(store, "l1")
    await store.turns.begin(turn(turn_id="turn"))
    assert await other.turns.strays() == {}, "its lease is live"
    await store.record_task(task("t1"), LeaseId("l1"))
    await store.renew({LeaseId("l1"): 0.0})
    assert (await store.lapse(LeaseId("l1"), 9)) is True
    assert await other.turns.strays() == {}, "its task was left in the middle: who stops that sees to it"
    await store.end_task(TaskId("t1"), 10)
    assert await other.turns.strays() == {"turn": store.replica}
    assert await store.turns.strays() == {"turn": store.replica}, "its replica may have left it"
    await store.turns.write([], [ended()])
    assert await other.turns.strays() == {}


async def test_a_turn_is_found_by_its_key(store: AnyStore, other: AnyStore) -> None:
    await store.turns.begin(turn("old", key="k", create_us=1))
    await store.turns.begin(turn("new", key="k", create_us=2))
    await store.turns.begin(turn("bobs", key="k", principal="bob", create_us=3))
    await store.turns.begin(turn("fleeting", key="k", durable=False, create_us=4))
    await store.turns.begin(turn("keyless", create_us=5))
    found = await other.turns.by_key("ann", "k", 0)
    assert found is not None
    assert found.turn_id == "new"
    await store.turns.write([], [ended("new", at_us=50), ended("old", at_us=10)])
    assert await other.turns.by_key("ann", "k", 51) is None
    found = await other.turns.by_key("ann", "k", 50)
    assert found is not None
    assert found.turn_id == "new"
    assert await other.turns.by_key("ann", "", 0) is None


async def test_turns_are_forgotten_with_their_logs(store: AnyStore) -> None:
    for turn_id in ("a", "b"):
        await store.turns.begin(turn(turn_id))
        await write(store, *spans(2), turn_id=turn_id)
    await store.turns.forget(["a", "none"])
    assert await store.turns.get("a") is None
    assert await store.turns.read("a", 1, 100) == []
    assert await store.turns.read("b", 1, 100) == spans(2)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_what_nobody_may_ask_for_is_swept_in_batches(store: AnyStore, limit: int) -> None:
    """HOWLER_TURN_RETENTION."""
    for turn_id in ("old1", "old2", "old3", "late", "runs"):
        await store.turns.begin(turn(turn_id))
        await write(store, *spans(2), turn_id=turn_id)
    await store.turns.begin(turn("fleeting", durable=False))
    await store.turns.begin(turn("fleeting too", durable=False, create_us=300))
    changes = [ended(turn_id, at_us=50) for turn_id in ("old1", "old2", "old3")]
    await store.turns.write([], [*changes, ended("late", at_us=200)])
    dropped = []
    while count := await store.turns.sweep(100, 100, limit):
        dropped.append(count)
    assert sum(dropped) == 4
    assert max(dropped) <= limit
    left = [
        turn_id
        for turn_id in ("old1", "old2", "old3", "late", "runs", "fleeting", "fleeting too")
        if await store.turns.get(turn_id)
    ]
    assert left == ["late", "runs", "fleeting too"]
    assert await store.turns.read("old1", 1, 100) == []
    assert await store.turns.read("late", 1, 100) == spans(2)
