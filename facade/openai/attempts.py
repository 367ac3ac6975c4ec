"""Says which turn a request means that may be sent again (openai-surface.md §7.3). Pure.

Such a request is told the turn of the first attempt, running or over, and never runs it twice. Codex gives
each turn an id, and sends it again with what it heard of the answer behind the question: what people and
tools said tells one request of the turn from the next. The SDKs count how often they have sent a request,
which stays the same to the letter. What others that name their chat send again means the turn while it runs,
or if nobody heard its end; of one that was heard they may want another answer.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from howler.task.v1.start_turn_pb2 import Attempt, Message, Role, StartTurn

from facade.openai.hints import Hints

_WHILE_IT_RUNS: Final = Attempt.ATTEMPT_UNSPECIFIED
_FIRST: Final = Attempt.ATTEMPT_FIRST
_RETRY: Final = Attempt.ATTEMPT_RETRY
_ASSISTANT: Final = Role.ROLE_ASSISTANT


def mark_attempt(start: StartTurn, hints: Hints) -> None:
    """Mark a start as one that may be sent again, by what is known of its request."""
    said = start.messages.messages
    if hints.client_turn:
        heard = [message for message in said if message.role != _ASSISTANT]
        _mark(start, _RETRY, "turn", start.session, hints.client_turn, heard)
    elif hints.sent_before is not None:
        attempt = _RETRY if hints.sent_before else _FIRST
        _mark(start, attempt, "sdk", start.session, start.model, start.instructions, said)
    elif start.session:
        _mark(start, _WHILE_IT_RUNS, "chat", start.session, start.model, start.instructions, said)


def _mark(start: StartTurn, attempt: Attempt, kind: str, *asked: str | Iterable[Message]) -> None:
    whole = hashlib.sha256()
    for part in asked:
        texts = [part.encode()] if isinstance(part, str) else map(_written, part)
        for text in (*texts, b""):
            whole.update(b"%d:%b" % (len(text), text))
    start.idempotency.key = f"{kind}:{whole.hexdigest()}"
    start.idempotency.attempt = attempt


def _written(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)
