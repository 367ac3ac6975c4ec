"""Puts the platform's count of a turn's tokens in place of the estimate, where it tells one soon enough.

Nobody waits where nothing is to be had: see Totals. Whatever goes wrong leaves the estimate.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from howler.task.v1.task_event_pb2 import Ended, EndReason, TokenUsage, UsageSource

from server.errors import ServiceError, incident
from server.pool.account import Session, TaskId
from server.turn.live import Interrupted, LiveTurn
from server.turn.totals import Count, Totals
from server.upstream.platform import Platform, TaskInfo
from server.upstream.tasks import Tokens

_COMPLETED: Final = EndReason.END_REASON_COMPLETED
_ESTIMATED: Final = UsageSource.USAGE_SOURCE_ESTIMATED
_READS: Final = 4  # of a total in the time that a turn may wait for it


class Counting:
    """Counts the turns on one backend."""

    def __init__(self, platform: Platform, wait: float) -> None:
        """`wait` is how many seconds the end of a turn may wait for its count; 0 asks for none."""
        self._platform = platform
        self._wait = wait
        self._totals = Totals()

    def before(self, info: TaskInfo) -> Tokens | None:
        """Return what a task had used before the turn that begins on it now, None where that is not sure."""
        return self._totals.before(info, time.time())

    async def count(
        self,
        ended: Ended,
        live: LiveTurn,
        session: Callable[[], Session],
        task_id: TaskId,
        *,
        before: Tokens | None,
        said: int,
    ) -> None:
        """Tell in `ended` what the turn used, where that is an estimate and the platform knows better.

        `before` and `said`: see Count. `session` raises where the turn's lease is no more. An interruption
        ends the wait, and nothing else.
        """
        if not self._wait or ended.usage.tokens.source != _ESTIMATED:
            return
        standing: Tokens | None = None
        if before is not None and ended.reason == _COMPLETED and self._totals.worth_a_wait(time.time()):
            count = Count(before, said)
            with suppress(Interrupted):
                with live.waiting():
                    await self._wait_for(count, session, task_id, live.id)
                self._totals.waited(count.part)
            if count.part is not None:
                standing = count.total
                ended.usage.tokens.CopyFrom(_exact(count.part))
        self._totals.ended(task_id, standing, time.time())

    async def _wait_for(
        self, count: Count, session: Callable[[], Session], task_id: TaskId, turn_id: str
    ) -> None:
        """Read the task's total until it stands still, for as long as that may take."""
        try:
            async with asyncio.timeout(self._wait):
                while True:
                    count.read((await self._platform.task(session(), task_id)).tokens)
                    self._totals.seen(count.total)
                    if count.part is not None or not self._totals.told:
                        return
                    await asyncio.sleep(self._wait / _READS)
        except (ServiceError, TimeoutError):
            return
        except Exception as error:  # the end is told all the same
            incident(error, turn_id)


def _exact(part: Tokens) -> TokenUsage:
    return TokenUsage(
        input_tokens=part.input,
        output_tokens=part.output,
        total_tokens=part.total,
        source=UsageSource.USAGE_SOURCE_EXACT,
    )
