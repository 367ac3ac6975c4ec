"""Stops tasks that Howler made, on the platform and in the pool's books."""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool.account import AccountId, TaskId
from server.pool.pool import Pool
from server.upstream.platform import Platform

_log = logging.getLogger(__name__)

_GONE: Final = (ErrorReason.ERROR_REASON_TASK_NOT_FOUND, ErrorReason.ERROR_REASON_UPSTREAM_NOT_FOUND)
_PAUSES: Final = (0.5, 2.0, 5.0)  # seconds between tries


class Stopper:
    """Stops tasks of Howler's own."""

    def __init__(self, pool: Pool, platform: Platform) -> None:
        self._pool = pool
        self._platform = platform
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Try no more than once from now on: Howler is shutting down."""
        self._hurried.set()

    async def stop(self, task_id: TaskId, lease: Lease) -> bool:
        """Stop a task under the lease of its turn, trying again a few times; tell whether it has ended.

        A task that resists stays on the books: it holds its slot and is stopped when that is needed. When the
        lease is lost nothing more is sent: whoever has the account then stops the task.
        """
        task = Task(task_id=task_id, account_id=lease.account_id)
        for pause in (*_PAUSES, None):
            try:
                await self.stop_upstream(task, lease)
                return True
            except ServiceError as error:
                if error.reason == ErrorReason.ERROR_REASON_LEASE_LOST:
                    return False
                if pause is None or self._hurried.is_set():
                    _log.warning(
                        "task %s could not be stopped and keeps its slot: %s", task_id, error.message
                    )
                    return False
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurried.wait()
        return False

    async def stop_once(self, task: Task) -> None:
        """Stop a task for a caller, whoever has a lease on it, or raise what the platform said."""
        await self.stop_upstream(task)
        await self._pool.task_ended(TaskId(task.task_id))

    async def stop_upstream(self, task: Task, lease: Lease | None = None) -> None:
        """Stop a task on the platform alone; one that is gone there is no error.

        Under a `lease` nothing is sent once that is lost. Raises LEASE_LOST and what the platform says.
        """
        account_id = AccountId(task.account_id)
        session = self._pool.session(account_id, lease)
        try:
            await self._platform.stop_task(session, TaskId(task.task_id))
        except ServiceError as error:
            if error.reason in _GONE:
                return
            await self._pool.report(account_id, error, session=session)  # a login may be all that is missing
            raise
