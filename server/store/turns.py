"""What a store keeps of turns: the turn itself, and its log in spans.

A span is a run of consecutive events, spelled as the field `events` of the messages
that carry them: what one write of a log found ready.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import EndReason

from server.store.rows import Parameters, Row


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive events of a log, the first of which has this seq."""

    first_seq: int
    count: int
    events: bytes

    @property
    def behind(self) -> int:
        """The seq behind the last."""
        return self.first_seq + self.count


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn. `task_id` is empty until it was accepted, `end_us` None while it runs.

    `last_seq` is the seq of the newest event that the store has: what a read tells. `start` is empty for
    one that is not durable. So that another process can go on with the turn, its messages are what it adds to
    its conversation, and its instructions what the agent was told; `prompt` is what the agent was sent.
    `held_task_id` is the task where that existed before, `active_at` when it was at work last, in seconds of
    the platform's clock.
    """

    turn_id: str
    start: StartTurn
    account_id: str
    lease_id: str
    create_us: int
    durable: bool = True
    task_id: str = ""
    model: str = ""
    conversation_id: str = ""
    principal: str = ""
    key: str = ""
    digest: bytes = b""
    replica: str = ""
    end_us: int | None = None
    end_reason: EndReason = EndReason.END_REASON_UNSPECIFIED
    last_seq: int = 0
    prompt: str = ""
    held_task_id: str = ""
    active_at: int = 0


class TurnChange(NamedTuple):
    """What became of a turn: it was accepted, or it ended."""

    turn_id: str
    task_id: str
    model: str
    end_us: int | None
    end_reason: EndReason


class TurnStore(Protocol):
    """Turns and their logs. Every call raises StoreError."""

    async def begin(self, turn: StoredTurn) -> None:
        """Record a turn that is about to run, as this replica's; again when its account has changed."""

    async def write(self, spans: Sequence[tuple[str, Span]], changes: Sequence[TurnChange]) -> frozenset[str]:
        """Write spans by their turns, and changes, all in one; return which turns of the spans are ours.

        Of a turn that is another replica's nothing is written. The same span may be written again.
        """

    async def read(self, turn_id: str, seq: int, size: int) -> list[Span]:
        """Return the span that holds an event and those behind it, until they make up `size` bytes.

        At least one, unless the log ends before `seq`.
        """

    async def get(self, turn_id: str) -> StoredTurn | None:
        """Return a turn."""

    async def by_key(self, principal: str, key: str, since_us: int) -> StoredTurn | None:
        """Return the newest durable turn started with a key that runs, or ended at `since_us` or later."""

    async def claim(self, turn_id: str, of: str, account_id: str, lease_id: str) -> bool:
        """Make a running durable turn of the replica `of` this one's; False where somebody was first."""

    async def strays(self) -> dict[str, str]:
        """Return the running durable turns that no lease and no busy task holds, this replica's among them.

        By their ids; the value is the replica. One that is about to end is among them for a moment.
        """

    async def forget(self, turn_ids: Sequence[str]) -> None:
        """Drop turns and their logs."""

    async def sweep(self, ended_us: int, made_us: int, limit: int) -> int:
        """Drop up to `limit` turns that ended before `ended_us`; return how many.

        Of those that are not durable, whose process may be gone, also what was made before `made_us`.
        """


def of_turn(turn: StoredTurn, replica: str) -> Parameters:
    """Return the columns of a turn that begins on a replica."""
    return {
        "turn_id": turn.turn_id,
        "task_id": turn.task_id,
        "account_id": turn.account_id,
        "lease_id": turn.lease_id,
        "conversation_id": turn.conversation_id,
        "principal": turn.principal,
        "model": turn.model,
        "start": turn.start.SerializeToString(),
        "durable": int(turn.durable),
        "key": turn.key,
        "digest": turn.digest,
        "replica": replica,
        "create_us": turn.create_us,
        "prompt": turn.prompt,
        "held_task_id": turn.held_task_id,
        "active_at": turn.active_at,
    }


def turn_of(row: Row) -> StoredTurn:
    """Return a turn."""
    columns: dict[str, Any] = {name: row[name] for name in row.keys()}  # noqa: SIM118 -- a row yields values
    return StoredTurn(
        **{**columns, "start": StartTurn.FromString(row["start"]), "durable": bool(row["durable"])}
    )


def span_of(row: Row) -> Span:
    """Return a span."""
    return Span(row["first_seq"], row["count"], row["events"])
