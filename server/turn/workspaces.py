"""Reads what agents made in the workspaces of their VMs, over their tasks' control sockets.

A call needs the task's account and no slot of it, so it goes beside a turn that runs.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import LeaseMode
from howler.task.v1 import workspace_pb2 as pb
from howler.task.v1.task_service_pb2 import TaskState

from server.acp.cut import MAX_LIST_BYTES
from server.errors import ServiceError
from server.pool.account import AccountId, TaskId
from server.pool.pool import Pool
from server.turn.awake import awake
from server.turn.grant import HOLDER
from server.turn.rooms import Records
from server.upstream.platform import Control, Platform
from server.upstream.shapes import objects_in, text
from server.upstream.workspace import read_change, read_entry, read_piece

_E = ErrorReason
_Row = TypeVar("_Row", pb.FileEntry, pb.FileChange)

READ_BYTES: Final = 1 << 20
MOST_READ_BYTES: Final = 2 << 20
CONTEXT_LINES: Final = 3
MOST_CONTEXT_LINES: Final = 1000
_LIST_BYTES: Final = 1 << 20  # of changed files, without their diffs
_DIFF_BYTES: Final = 2 << 20
_DIFFS: Final = 100
_WAIT: Final = 10.0  # seconds for a shared lease; only a login keeps one waiting
_WAKING: Final = 60.0  # seconds that a VM may take to wake up


class Workspaces:
    """The workspaces of the tasks that Howler holds.

    Every method raises TASK_NOT_FOUND, TASK_ENDED, FILE_NOT_FOUND and what `awake`, the pool and the
    platform raise.
    """

    def __init__(self, pool: Pool, platform: Platform, store: Records) -> None:
        self._pool = pool
        self._platform = platform
        self._store = store

    async def list_files(
        self, task_id: TaskId, path: str, glob: str, *, include_hidden: bool
    ) -> pb.ListFilesResponse:
        """Return the entries of a folder."""
        fields = {"path": path, "glob_pattern": glob or "*", "include_hidden": include_hidden}
        async with self._control(task_id) as control:
            answer = await control.call("repo_file_list", fields)
        files, truncated = _fitting(map(read_entry, objects_in(answer, "files")), MAX_LIST_BYTES)
        return pb.ListFilesResponse(files=files, truncated=truncated)

    async def read_file(self, task_id: TaskId, path: str, offset: int, length: int) -> pb.ReadFileResponse:
        """Return a piece of a file of at most `length` bytes, 0 for READ_BYTES."""
        length = min(length or READ_BYTES, MOST_READ_BYTES)
        async with self._control(task_id) as control:
            answer = await control.call("repo_read_file", {"path": path, "offset": offset, "length": length})
        return read_piece(answer, offset, length)

    async def diff(self, task_id: TaskId, path: str, context_lines: int) -> pb.DiffResponse:
        """Return the changed files, or the one at `path`, with their diffs."""
        lines = min(context_lines or CONTEXT_LINES, MOST_CONTEXT_LINES)
        async with self._control(task_id) as control:
            answer = await control.call("repo_file_changes", {})
            changes = [read_change(row) for row in objects_in(answer, "changes")]
            wanted = [change for change in changes if change.path == path] if path else changes
            told, truncated = _fitting(wanted, _LIST_BYTES)
            await _add_diffs(control, told, lines)
        return pb.DiffResponse(
            changes=told,
            branch=text(answer, "branch"),
            commit_hash=text(answer, "commit_hash"),
            truncated=truncated,
        )

    @asynccontextmanager
    async def _control(self, task_id: TaskId) -> AsyncIterator[Control]:
        """Open the control socket of a task as its account, whose health a refusal may tell of."""
        task = await self._store.task(task_id)
        if task is None:
            raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
        if task.state == TaskState.TASK_STATE_ENDED:
            raise ServiceError(_E.ERROR_REASON_TASK_ENDED, "the task has ended, and its VM is gone")
        account_id = AccountId(task.account_id)
        async with AsyncExitStack() as stack:
            lease = await self._pool.acquire(
                LeaseMode.LEASE_MODE_SHARED,
                holder=HOLDER,
                purpose="files",
                wait=_WAIT,
                account_id=account_id,
            )
            stack.push_async_callback(self._pool.release, lease.lease_id, lease.token)
            session = self._pool.session(account_id, lease)
            try:
                control = await stack.enter_async_context(awake(self._platform, session, task_id, _WAKING))
            except ServiceError as error:
                await self._pool.report(account_id, error, session=session)
                raise
            yield control


def _fitting(rows: Iterable[_Row], limit: int) -> tuple[list[_Row], bool]:
    """Return the rows that fit so many bytes, and whether there are more."""
    kept: list[_Row] = []
    for row in rows:
        limit -= row.ByteSize() + 8  # bytes that frame it
        if limit < 0:
            return kept, True
        kept.append(row)
    return kept, False


async def _add_diffs(control: Control, changes: list[pb.FileChange], lines: int) -> None:
    """Ask for the diff of each file, as far as they fit together."""
    room = _DIFF_BYTES
    for change in changes[:_DIFFS]:
        if room <= 0:
            change.truncated = True
            continue
        fields = {"path": change.path, "unified": True, "context_lines": lines}
        try:
            answer = await control.call("repo_file_diff", fields)
        except ServiceError as error:
            # A file may have gone since, and a binary one has no diff.
            if error.reason not in (_E.ERROR_REASON_FILE_NOT_FOUND, _E.ERROR_REASON_UPSTREAM_ERROR):
                raise
            continue
        diff = text(answer, "diff").encode()
        change.diff = diff[:room].decode(errors="ignore")
        change.truncated = len(diff) > room
        room -= len(diff)
    for change in changes[_DIFFS:]:
        change.truncated = True
