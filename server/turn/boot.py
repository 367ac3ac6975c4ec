"""Waits until a new task's VM is ready, and tells how far it is (upstream-protocol §5.2-5.4)."""

import asyncio
from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Progress, TaskEvent

from server.acp.cut import named
from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.pool.pool import Pool
from server.turn.limits import Limits
from server.turn.live import LiveTurn
from server.upstream.platform import Platform, TaskInfo

_E = ErrorReason
_LOGIN_SECONDS = 20.0
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds; the platform's own clients ask every 2 s


class Boot:
    """Waits for the VM of one task; its time counts from now on."""

    def __init__(
        self,
        live: LiveTurn,
        platform: Platform,
        pool: Pool,
        session: Callable[[], Session],
        limits: Limits,
    ) -> None:
        self._live = live
        self._platform = platform
        self._pool = pool
        self._session = session
        self._limits = limits
        self._until = asyncio.get_running_loop().time() + limits.boot
        self._told: Progress | None = None
        self._login_until: float | None = None

    async def ready(self) -> None:
        """Return when the agent runs.

        Raises BOOT_TIMEOUT, VM_FAILED, TASK_ENDED and, once the account can no
        longer ask, its failure; passing failures are waited out.
        """
        try:
            async with asyncio.timeout_at(self._until) as scope:
                pause = _FIRST_PAUSE
                while not await self._look():
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LAST_PAUSE)
        except TimeoutError:
            if not scope.expired():
                raise
            raise ServiceError(
                _E.ERROR_REASON_BOOT_TIMEOUT,
                f"the VM was not ready in {self._limits.boot:g} s (HOWLER_BOOT_TIMEOUT)",
            ) from None

    async def _look(self) -> bool:
        session: Session | None = None
        try:
            session = self._session()
            info = await self._platform.task(session, TaskId(self._live.task_id))
        except ServiceError as error:
            await self._bear(error, session)
            return False
        self._login_until = None
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

    async def _bear(self, error: ServiceError, session: Session | None) -> None:
        """Raise a failure that is not worth waiting out.

        The pool may log in again while the VM boots: an expired session gets _LOGIN_SECONDS.
        """
        if error.reason in (_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, _E.ERROR_REASON_CONNECT_TIMEOUT):
            return
        now = asyncio.get_running_loop().time()
        if error.reason != _E.ERROR_REASON_SESSION_EXPIRED or now > (self._login_until or now):
            raise error
        if self._login_until is None:
            self._login_until = now + _LOGIN_SECONDS
            if session is not None:  # else the pool knows already
                await self._pool.report(session.account_id, error, session=session)

    def _tell(self, info: TaskInfo) -> None:
        step = info.condition
        progress = (
            Progress(stage=named(step.type), message=named(step.message), percent=step.progress)
            if step
            else Progress(stage="Pending")
        )
        if progress != self._told:
            self._told = progress
            self._live.tell([TaskEvent(progress=progress)])
