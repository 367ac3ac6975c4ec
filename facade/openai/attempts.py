"""Says which turn a request means that may be sent again (openai-surface.md §7.3). Pure.

The SDKs count how often they have sent a request. What they send again is the same to the letter, so it means
the turn of the first attempt: it is told again, running or over, and never run twice.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from howler.task.v1.start_turn_pb2 import Attempt, StartTurn

COUNT_HEADER: Final = "x-stainless-retry-count"

_FIRST: Final = Attempt.ATTEMPT_FIRST
_RETRY: Final = Attempt.ATTEMPT_RETRY


def mark_attempt(start: StartTurn, headers: Mapping[str, str]) -> None:
    """Mark a start as the first attempt or a retry, where an SDK counts; names of headers in lower case."""
    count = headers.get(COUNT_HEADER, "")
    if not count.isdecimal():
        return
    asked = (
        start.model.encode(),
        start.instructions.encode(),
        start.messages.SerializeToString(deterministic=True),
    )
    start.idempotency.key = f"sdk:{hashlib.sha256(bytes(1).join(asked)).hexdigest()}"
    start.idempotency.attempt = _RETRY if int(count) else _FIRST
