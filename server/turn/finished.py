"""Turns that are over and still in memory: for ten minutes, and no more than BUDGET_BYTES of them."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from howler.task.v1.task_service_pb2 import TurnRecord

from server.store.turns import StoredTurn
from server.turn.live import LiveTurn
from server.turn.log import DurableLog, Keeper, TurnLog

BUDGET_BYTES: Final = 64 << 20
"""What the logs of all of them may take; above it the oldest go first."""

COUNT: Final = 10_000


@dataclass(slots=True)
class FinishedTurn:
    """A turn that is over: what became of it, its log, and the key that it was started with."""

    record: TurnRecord
    log: TurnLog
    key: str
    at: float
    bytes: int


class Finished:
    """Those turns, the oldest first. `dropped` is told which are forgotten; a durable one is in the store.

    `seconds` is how long they are kept, by the clock.
    """

    def __init__(
        self, clock: Callable[[], float], seconds: float, dropped: Callable[[FinishedTurn], None]
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._dropped = dropped
        self._turns: OrderedDict[str, FinishedTurn] = OrderedDict()
        self._bytes = 0

    def get(self, turn_id: str) -> FinishedTurn | None:
        """Return a turn. One that ended here while it goes on elsewhere, as the store says, is forgotten."""
        turn = self._turns.get(turn_id)
        if turn is not None and turn.log.is_elsewhere:
            self._drop(turn_id)
            return None
        return turn

    def add(self, live: LiveTurn) -> None:
        """Keep a turn that is over."""
        live.log.release()
        key = live.start.idempotency.key
        self._add(FinishedTurn(live.record(), live.log, key, self._clock(), live.log.size))

    def restore(self, stored: StoredTurn, keeper: Keeper) -> FinishedTurn:
        """Return a turn that only the store knows."""
        log = restored_log(stored, keeper)
        log.ended = True
        turn = FinishedTurn(record_of(stored), log, stored.key, self._clock(), 0)
        self._add(turn)
        return turn

    def _add(self, turn: FinishedTurn) -> None:
        self._turns[turn.record.turn_id] = turn
        self._bytes += turn.bytes
        while self._bytes > BUDGET_BYTES or len(self._turns) > COUNT:
            if not self._drop_oldest():
                break

    def expire(self) -> None:
        """Forget what ended so long ago."""
        before = self._clock() - self._seconds
        while self._turns and next(iter(self._turns.values())).at <= before:
            if not self._drop_oldest():
                break

    def _drop_oldest(self) -> bool:
        """Forget the oldest; False where the store does not have it yet."""
        turn_id, turn = next(iter(self._turns.items()))
        if turn.log.owed:
            return False
        self._drop(turn_id)
        return True

    def _drop(self, turn_id: str) -> None:
        turn = self._turns.pop(turn_id)
        self._bytes -= turn.bytes
        self._dropped(turn)


def record_of(stored: StoredTurn) -> TurnRecord:
    """Return what the store knows of a turn."""
    record = TurnRecord(
        turn_id=stored.turn_id,
        task_id=stored.task_id,
        conversation_id=stored.conversation_id,
        principal=stored.principal,
        end_reason=stored.end_reason,
        last_seq=stored.last_seq,
        durable=stored.durable,
    )
    record.create_time.FromMicroseconds(stored.create_us)
    if stored.end_us is not None:
        record.end_time.FromMicroseconds(stored.end_us)
    return record


def restored_log(stored: StoredTurn, keeper: Keeper) -> DurableLog:
    """Return the log of a turn of which the store has everything, so far."""
    log = DurableLog(stored.turn_id, keeper, lambda lost: None)
    log.restore(stored.last_seq + 1)
    return log
