"""Asks the platform about a turn beside its stream: what is stored of it, whether its task lives (§5)."""

from collections.abc import Callable

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.acp.decode import Decoder
from server.acp.frames import Frame
from server.errors import ServiceError
from server.pool.account import Session, TaskId
from server.upstream.platform import Platform

_E = ErrorReason


class Recall:
    """What the platform remembers of a task's latest turn. `session` raises where it is no more."""

    def __init__(self, platform: Platform, session: Callable[[], Session], task_id: TaskId) -> None:
        self._platform = platform
        self._session = session
        self._task_id = task_id
        self._offline = 0

    async def rows(self) -> list[Frame]:
        """Return what is stored of the turn, in time order. Raises ServiceError."""
        decoder = Decoder()
        return [
            decoder.stored(row.event, row.kind, row.data, row.timestamp_ns // 1_000_000, row.seq)
            for row in await self._platform.rounds(self._session(), self._task_id)
        ]

    async def rows_if_any(self) -> list[Frame]:
        """Return what is stored of the turn, nothing where that cannot be read."""
        try:
            return await self.rows()
        except ServiceError:
            return []

    async def end_of_task(self) -> ServiceError | None:
        """Return why nothing more can come, None while it can or nobody knows.

        A VM that is offline twice in a row is not one that lost its line for a moment.
        """
        vm = ""
        try:
            info = await self._platform.task(self._session(), self._task_id)
            status, vm = info.status, info.vm_status
        except ServiceError as refusal:
            status = "gone" if refusal.reason == _E.ERROR_REASON_TASK_NOT_FOUND else ""
        self._offline = self._offline + 1 if vm == "offline" else 0
        if status in ("finished", "gone"):
            return ServiceError(_E.ERROR_REASON_TASK_ENDED, f"the platform says that the task is {status}")
        if status == "error":
            return ServiceError(_E.ERROR_REASON_VM_FAILED, "the platform says that the task's VM failed")
        if self._offline > 1:
            return ServiceError(_E.ERROR_REASON_VM_FAILED, "the platform says that the task's VM is offline")
        return None
