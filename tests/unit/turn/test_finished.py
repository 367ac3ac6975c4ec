"""Turns that are over: how long they stay in memory, and how much of it they take."""

import pytest
from howler.task.v1.start_turn_pb2 import Durability, StartTurn
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent, TextDelta

from server.turn import finished as module
from server.turn.finished import Finished, FinishedTurn
from server.turn.journal import Journal
from server.turn.live import LiveTurn, TurnId

EPHEMERAL = Durability.DURABILITY_EPHEMERAL


class Memory:
    """Finished turns on a clock that the test sets."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.now = 0.0
        self.dropped: list[str] = []
        self.turns = Finished(lambda: self.now, 600.0, self._drop)

    def _drop(self, turn: FinishedTurn) -> None:
        self.dropped.append(turn.record.turn_id)

    def add(self, turn_id: str, size: int = 10, durability: Durability = EPHEMERAL) -> LiveTurn:
        start = StartTurn(prompt="x", durability=durability)
        live = LiveTurn(TurnId(turn_id), start, self._journal, detach_grace=0)
        live.tell([TaskEvent(text_delta=TextDelta(text="x" * size))])
        live.end(EndReason.END_REASON_COMPLETED)
        self.turns.add(live)
        return live


@pytest.fixture
async def memory(journal: Journal) -> Memory:
    return Memory(journal)


async def test_a_turn_is_forgotten_after_its_time(memory: Memory) -> None:
    memory.add("a")
    memory.now = 300.0
    memory.add("b")
    memory.now = 599.0
    memory.turns.expire()
    assert memory.dropped == []
    found = memory.turns.get("a")
    assert found is not None
    assert found.record.end_reason == EndReason.END_REASON_COMPLETED
    memory.now = 600.0
    memory.turns.expire()
    assert memory.dropped == ["a"]
    assert memory.turns.get("a") is None
    assert memory.turns.get("b") is not None


async def test_a_turn_that_goes_on_elsewhere_is_not_over_here(memory: Memory) -> None:
    """It ended here before the store was asked: whoever watches it again finds where it is."""
    memory.add("a", durability=Durability.DURABILITY_DURABLE).log.refused()
    assert memory.turns.get("a") is None
    assert memory.dropped == ["a"]


async def test_all_together_take_no_more_than_their_budget(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first."""
    monkeypatch.setattr(module, "BUDGET_BYTES", 10_000)
    for number in range(8):
        memory.add(str(number), 2_000)
    assert memory.dropped == ["0", "1", "2", "3"]


async def test_no_more_than_so_many_are_kept(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT", 3)
    for number in range(5):
        memory.add(str(number))
    assert memory.dropped == ["0", "1"]


async def test_what_the_store_is_owed_is_not_forgotten(memory: Memory) -> None:
    """A durable log that could not be written yet stays, however old it is."""
    live = memory.add("a", durability=Durability.DURABILITY_DURABLE)
    memory.now = 9_999.0
    memory.turns.expire()
    assert memory.dropped == []
    live.log.written(live.log.next_seq)
    memory.turns.expire()
    assert memory.dropped == ["a"]
