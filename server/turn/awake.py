"""Brings a task's VM to where its control socket can be used (upstream-protocol §5.3, §8)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.upstream.platform import Control, Platform

_E = ErrorReason
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds between looks at the VM


@asynccontextmanager
async def awake(
    platform: Platform, session: Session, task_id: TaskId, limit: float
) -> AsyncIterator[Control]:
    """Open a task's control socket and yield it once its VM runs: the socket wakes one that hibernates.

    `limit` is the seconds that waking may take. Raises TASK_ENDED, also for a task that is gone, VM_FAILED
    for a VM that failed or is offline, BOOT_TIMEOUT, and what the platform refuses with.
    """
    async with AsyncExitStack() as stack:
        try:
            control = await stack.enter_async_context(platform.control(session, task_id))
            await _woken(platform, session, task_id, limit)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_TASK_NOT_FOUND:
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, error.message) from None
            raise
        yield control


async def _woken(platform: Platform, session: Session, task_id: TaskId, limit: float) -> None:
    asleep = False
    try:
        async with asyncio.timeout(limit) as scope:
            pause = _FIRST_PAUSE
            while True:
                vm_status = await _vm_status(platform, session, task_id)
                if vm_status in ("online", "", "unknown"):
                    return
                # A VM that wakes may look offline before it is connected again; no other comes back so soon.
                asleep = asleep or vm_status in ("hibernated", "pending")
                if not asleep:
                    raise ServiceError(
                        _E.ERROR_REASON_VM_FAILED, "the platform says that the task's VM is offline"
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LAST_PAUSE)
    except TimeoutError:
        if not scope.expired():
            raise
        raise ServiceError(
            _E.ERROR_REASON_BOOT_TIMEOUT, f"the task's VM did not wake up in {limit:g} s"
        ) from None


async def _vm_status(platform: Platform, session: Session, task_id: TaskId) -> str:
    """Return the state of the VM of a task that is under way. Raises TASK_ENDED and VM_FAILED."""
    info = await platform.task(session, task_id)
    match info.status:
        case "error":
            raise ServiceError(_E.ERROR_REASON_VM_FAILED, "the platform says that the task's VM failed")
        case "finished":
            raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the platform says that the task is finished")
    return info.vm_status
