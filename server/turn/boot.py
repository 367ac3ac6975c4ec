"""Waits until a new task's VM is ready, and tells how far it is (upstream-protocol §5.2-5.4)."""

import asyncio
import time
from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Progress, TaskEvent

from server.acp.cut import named
from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.turn.limits import Limits
from server.turn.live import LiveTurn
from server.upstream.platform import Platform, TaskInfo

_E = ErrorReason
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds; the platform's own clients ask every 2 s


class Boot:
    """Waits for the VM of one task. `session` gives the account's session of the moment."""

    def __init__(
        self, live: LiveTurn, platform: Platform, session: Callable[[], Session], limits: Limits
    ) -> None:
        self._live = live
        self._platform = platform
        self._session = session
        self._limits = limits
        self._told: Progress | None = None

    async def ready(self) -> None:
        """Return when the agent runs.

        Raises Interrupted, BOOT_TIMEOUT, VM_FAILED, TASK_ENDED and, once the
        account can no longer ask, its failure; passing failures are waited out.
        """
        late = ServiceError(
            _E.ERROR_REASON_BOOT_TIMEOUT,
            f"the VM was not ready in {self._limits.boot:g} s (HOWLER_BOOT_TIMEOUT)",
        )
        async with self._live.waiting(self._limits.boot, late):
            pause = _FIRST_PAUSE
            while not await self._look():
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LAST_PAUSE)

    async def _look(self) -> bool:
        try:
            info = await self._platform.task(self._session(), TaskId(self._live.task_id))
        except ServiceError as error:
            if error.reason in (_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, _E.ERROR_REASON_CONNECT_TIMEOUT):
                return False
            raise
        match info.status:
            case "processing":
                return True
            case "error":
                why = info.condition.message if info.condition else ""
                raise ServiceError(_E.ERROR_REASON_VM_FAILED, why or "the task's VM did not come up")
            case "finished":
                raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task was stopped before it began")
        self._tell(info)
        return False

    def _tell(self, info: TaskInfo) -> None:
        step = info.condition
        progress = (
            Progress(stage=named(step.type), message=named(step.message), percent=step.progress)
            if step
            else Progress(stage="Pending")
        )
        if progress != self._told:
            self._told = progress
            self._live.log.append([TaskEvent(progress=progress)], time.time_ns() // 1_000_000)
