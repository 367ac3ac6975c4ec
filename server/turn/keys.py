"""Starts that are safe to repeat: which turn was started with which key (StartTurn.idempotency)."""

import hashlib
from typing import Final, NamedTuple

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Attempt, StartTurn

from server.errors import ServiceError

_FIRST: Final = Attempt.ATTEMPT_FIRST

RETRY_SECONDS: Final = 600.0
"""How long after its end a turn is still what a retry asks for."""

_ASKED: Final = frozenset(
    {
        "model",
        "prompt",
        "messages",
        "instructions",
        "task_id",
        "conversation_id",
        "recognise_history",
        "session",
        "attachments",
    }
)
"""The fields that say what is asked; the others say how, or who asks."""


class Keyed(NamedTuple):
    """A turn and the digest of what it was asked.

    `unheard` says that nobody watched when it ended: whoever asked for it has no answer yet.
    """

    turn_id: str
    digest: bytes
    unheard: bool = False

    def asks(self, start: StartTurn) -> bool:
        """Tell whether a start asks the same."""
        return self.digest == digest_of(start)

    def check(self, start: StartTurn) -> None:
        """Raise IDEMPOTENCY_MISMATCH where a start with the same key asks something else."""
        if not self.asks(start):
            raise ServiceError(
                ErrorReason.ERROR_REASON_IDEMPOTENCY_MISMATCH,
                "start.idempotency.key: the turn that runs with this key was asked something else",
            )


class Keys:
    """The turns in memory that were started with a key, by principal and key."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], Keyed] = {}

    def put(self, start: StartTurn, turn_id: str) -> None:
        """Take note of a turn that begins."""
        if start.idempotency.key:
            self._turns[start.principal, start.idempotency.key] = Keyed(turn_id, digest_of(start))

    def restore(self, principal: str, key: str, keyed: Keyed) -> None:
        """Take note of a turn that began in another process."""
        if key:
            self._turns[principal, key] = keyed

    def get(self, start: StartTurn) -> Keyed | None:
        """Return the turn that was started last with the key of a start."""
        return self._turns.get((start.principal, start.idempotency.key))

    def note_unheard(self, start: StartTurn, turn_id: str) -> None:
        """Take note that a turn ended while nobody watched: the next one that asks the same is told it."""
        keyed = self.get(start)
        if keyed is not None and keyed.turn_id == turn_id:
            self._turns[start.principal, start.idempotency.key] = keyed._replace(unheard=True)

    def note_heard(self, start: StartTurn) -> None:
        """Take note that somebody who asks the same is told it."""
        keyed = self.get(start)
        if keyed is not None:
            self._turns[start.principal, start.idempotency.key] = keyed._replace(unheard=False)

    def drop(self, principal: str, key: str, turn_id: str) -> None:
        """Forget a turn."""
        keyed = self._turns.get((principal, key))
        if keyed is not None and keyed.turn_id == turn_id:
            del self._turns[principal, key]


def may_repeat(start: StartTurn) -> bool:
    """Tell whether a start may mean a turn that was started before."""
    return bool(start.idempotency.key) and start.idempotency.attempt != _FIRST


def digest_of(start: StartTurn) -> bytes:
    """Return the digest of what a start asks."""
    asked = StartTurn()
    asked.CopyFrom(start)
    for field, _ in start.ListFields():
        if field.name not in _ASKED:
            asked.ClearField(field.name)
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()
