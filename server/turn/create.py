"""Creates tasks so that no prompt ever runs twice (upstream-protocol §5.1, §5.2).

A create whose answer was lost is read back before anything else is tried; a
pending task that a failed create left behind is deleted. Both look for a task
by its content, so they wait until no other create of the same content on the
same account is under way, and hold new ones back while they look.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.upstream.platform import NewTask, Platform, TaskInfo

_log = logging.getLogger(__name__)

_READ_BACK_AFTER: Final = (0.2, 0.5, 1.0, 2.0)  # seconds between looks for a task whose create was lost
_ALIVE_AFTER: Final = 0.5  # seconds in which a task that a failed create left may still come to life
_CLOCK_SLACK: Final = 2.0  # seconds that the platform's clock may be behind ours
_Key = tuple[str, str]  # an account and a content


class Creator:
    """Creates tasks on the platform.

    `recorded` says whether Howler holds a task already; `now` is the time in seconds since 1970.
    """

    def __init__(
        self, platform: Platform, recorded: Callable[[TaskId], Awaitable[bool]], now: Callable[[], float]
    ) -> None:
        self._platform = platform
        self._recorded = recorded
        self._now = now
        self._changed = asyncio.Event()
        self._creating: Counter[_Key] = Counter()
        self._wanted: Counter[_Key] = Counter()
        self._looking: set[_Key] = set()
        self._claimed: set[TaskId] = set()

    async def create(self, session: Session, task: NewTask) -> TaskId:
        """Create the task and return its id: the platform has accepted the turn.

        Raises the platform's refusal; UPSTREAM_UNAVAILABLE when it surely did
        not accept; ACCEPTANCE_UNKNOWN when even reading back did not tell.
        """
        key = session.account_id, task.content
        asked_at = self._now()
        try:
            return await self._create(key, session, task)
        except ServiceError as error:
            match error.reason:
                case ErrorReason.ERROR_REASON_ACCEPTANCE_UNKNOWN:
                    return await self._read_back(key, session, task, asked_at)
                case ErrorReason.ERROR_REASON_UPSTREAM_ERROR:
                    found = await self._clear_away(key, session, task, asked_at)
                    if found is not None:
                        return found
            raise

    async def _create(self, key: _Key, session: Session, task: NewTask) -> TaskId:
        while key in self._looking or key in self._wanted:
            await self._change()
        self._creating[key] += 1
        try:
            task_id = await self._platform.create_task(session, task)
            self._claimed.add(task_id)
            return task_id
        finally:
            self._one_less(self._creating, key)

    def settled(self, task_id: TaskId) -> None:
        """Forget a claim: the task is recorded now."""
        self._claimed.discard(task_id)

    async def _read_back(self, key: _Key, session: Session, task: NewTask, asked_at: float) -> TaskId:
        async with self._look_for(key):
            for pause in _READ_BACK_AFTER:
                await asyncio.sleep(pause)
                try:
                    found = await self._find(session, task, asked_at)
                except ServiceError as error:
                    raise ServiceError(
                        ErrorReason.ERROR_REASON_ACCEPTANCE_UNKNOWN,
                        f"the answer to the create was lost and reading back failed: {error.message}",
                    ) from None
                if found is not None:
                    _log.warning("the answer to a create was lost; read back as task %s", found.task_id)
                    self._claimed.add(found.task_id)
                    return found.task_id
        raise ServiceError(
            ErrorReason.ERROR_REASON_UPSTREAM_UNAVAILABLE,
            "the platform did not take the task on; nothing has run",
        )

    async def _clear_away(self, key: _Key, session: Session, task: NewTask, asked_at: float) -> TaskId | None:
        """Delete the pending task that a failed create left; return the one that runs all the same.

        Raises ACCEPTANCE_UNKNOWN where that cannot be told: another account must not try then.
        """
        try:
            async with self._look_for(key):
                left = await self._find(session, task, asked_at)
                if left is not None and left.status == "pending":
                    await asyncio.sleep(_ALIVE_AFTER)
                    left = await self._find(session, task, asked_at)
                if left is not None and left.status == "processing":
                    _log.warning("a create failed, but its task runs: %s", left.task_id)
                    self._claimed.add(left.task_id)
                    return left.task_id
                if left is not None:
                    await self._platform.delete_task(session, left.task_id)
                    _log.warning("deleted the pending task %s that a failed create had left", left.task_id)
                return None
        except ServiceError as error:
            raise ServiceError(
                ErrorReason.ERROR_REASON_ACCEPTANCE_UNKNOWN,
                f"the create failed, and what it may have left could not be cleared away: {error.message}",
            ) from None

    async def _find(self, session: Session, task: NewTask, asked_at: float) -> TaskInfo | None:
        """Return the task that our create made: our content, not older than the request, unclaimed."""
        for info in await self._platform.tasks(session, ("pending", "processing")):
            if info.content != task.content or info.created_at < asked_at - _CLOCK_SLACK:
                continue
            if info.task_id not in self._claimed and not await self._recorded(info.task_id):
                return info
        return None

    @asynccontextmanager
    async def _look_for(self, key: _Key) -> AsyncIterator[None]:
        self._wanted[key] += 1  # no new create may go ahead, or the look would wait for ever
        try:
            while key in self._creating or key in self._looking:
                await self._change()
            self._looking.add(key)
        finally:
            self._one_less(self._wanted, key)
        try:
            yield
        finally:
            self._looking.discard(key)
            self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _one_less(self, count: Counter[_Key], key: _Key) -> None:
        count[key] -= 1
        if not count[key]:
            del count[key]
        self._changed.set()
